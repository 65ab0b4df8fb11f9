"""PodPreset: what operations want in a Pod is put there when it is created.

`merge.admit` is the engine: a pure function, used by the API server's plug-in (`plugin.py`), by the webhook
and by the command line alike.

| question | module |
|---|---|
| what goes in and comes out | `model.py` |
| how a document becomes a preset | `parse.py` |
| which presets reach a Pod | `selection.py` |
| what is the same thing in another spelling | `normalise.py` |
| how presets are merged, and what a clash does | `merge.py`, upstream's accidents in `compat.py` |
| probes, hooks, numbers, labels, injected containers | `sections/` |
| who put what there | `provenance.py` |
"""
