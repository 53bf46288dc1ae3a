"""The commands, one module each: called by the command line and from Python.

- `dense_tour`: ``vitrail tour --task``
- `doctor`: ``vitrail doctor``
- `evaluate`: ``vitrail evaluate``
- `look`: ``vitrail look``
- `models`: ``vitrail models``
- `plan`: ``vitrail plan``
- `predict`: ``vitrail predict``
- `pretrain`: ``vitrail pretrain``
- `probe`: ``vitrail probe``
- `stress`: ``vitrail stress``
- `tour`: ``vitrail tour``
- `train`: ``vitrail train``
- `weights`: ``vitrail weights``
"""
