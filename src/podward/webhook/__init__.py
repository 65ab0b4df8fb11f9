"""`podward webhook`: the preset engine as a MutatingWebhook of any cluster. A program, so a composition root.

| question | module |
|---|---|
| what is answered to an AdmissionReview of a Pod, and of a preset | `review.py`, `validation.py` (pure) |
| whether somebody may write a preset that overrides | `access.py` |
| which paths are served, when it is ready, how it ends | `app.py`, `program.py` |
| where presets come from | `presets.py` |
| what is served with, and who may write | `certificates.py`, `leader.py` |
| how its certificate and its authority rotate | `rotation_step.py` (pure), `rotation.py` |
| what a cluster must be given | `manifests.py`; `definitions.py`, `roles.py`, `workload.py` |
| names that the program and its manifests agree on | `naming.py` |
| what is counted | `metrics.py` |
"""
