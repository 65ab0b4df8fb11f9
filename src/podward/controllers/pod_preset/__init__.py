"""What becomes of presets is seen: Events, counters, and each preset's status.

Admission tells each of its results once (`Notice`) and waits for nobody.

| question | module |
|---|---|
| who is told what, in which words | `reporter.py`, `words.py` |
| what is counted | `metrics.py` |
| what a preset's status says | `status.py` (pure) |
| which Pods and namespaces there are | `population.py` |
| when a status is written | `controller.py`, `settling_queue.py` |
"""
