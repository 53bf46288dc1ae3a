"""What each command can be told: one frozen dataclass a command, the same on the command line and in Python.

Nothing here imports torch. What a task adds to `train` or `pretrain` is in its own folder, below `vitrail.tasks`.
"""

from vitrail.config import Augment, Loader, Optim, Run, Schedule
from vitrail.settings.commands import (
    DoctorSettings,
    EvaluateSettings,
    LookSettings,
    ModelsSettings,
    PaperSettings,
    PlanSettings,
    PredictSettings,
    ProbeSettings,
    TourSettings,
    WeightsSettings,
)
from vitrail.settings.models import (
    Architecture,
    BackboneArchitecture,
    Dense,
    Head,
    Scoring,
    Size,
)
from vitrail.settings.training import (
    PretrainSettings,
    TrainSettings,
    peak_lr,
)

__all__ = [
    "Architecture",
    "Augment",
    "BackboneArchitecture",
    "Dense",
    "DoctorSettings",
    "EvaluateSettings",
    "Head",
    "Loader",
    "LookSettings",
    "ModelsSettings",
    "Optim",
    "PaperSettings",
    "PlanSettings",
    "PredictSettings",
    "PretrainSettings",
    "ProbeSettings",
    "Run",
    "Schedule",
    "Scoring",
    "Size",
    "TourSettings",
    "TrainSettings",
    "WeightsSettings",
    "peak_lr",
]
