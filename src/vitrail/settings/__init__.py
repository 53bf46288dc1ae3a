"""The settings of each command: one frozen dataclass a command, the same on the command line and in Python.

- `commands`: the settings of each command: one frozen dataclass a command, the same on the command line and in Python
- `doctor`: what ``vitrail doctor`` can be told
- `embed`: what ``vitrail embed`` can be told
- `inputs`: how images are to be prepared for a model, where the user knows it
- `models`: settings of models: of a backbone, and of what stands on it
- `stress`: what ``vitrail stress`` can be told
- `training`: settings of every run that trains, whatever its task
- `trust`: what ``vitrail trust`` can be told
"""

from vitrail.config import Augment, Loader, Optim, Run, Schedule
from vitrail.settings.commands import (
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
from vitrail.settings.doctor import DoctorSettings
from vitrail.settings.embed import EmbedSettings
from vitrail.settings.inputs import InputOptions, NormalizationOption
from vitrail.settings.models import (
    FAMILIES,
    Architecture,
    BackboneArchitecture,
    Dense,
    Head,
    Scoring,
    Size,
)
from vitrail.settings.stress import StressSettings
from vitrail.settings.training import (
    LearningSettings,
    PretrainSettings,
    TrainSettings,
    peak_lr,
)
from vitrail.settings.trust import TrustSettings

__all__ = [
    "FAMILIES",
    "Architecture",
    "Augment",
    "BackboneArchitecture",
    "Dense",
    "DoctorSettings",
    "EmbedSettings",
    "EvaluateSettings",
    "Head",
    "InputOptions",
    "LearningSettings",
    "Loader",
    "LookSettings",
    "ModelsSettings",
    "NormalizationOption",
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
    "StressSettings",
    "TourSettings",
    "TrainSettings",
    "TrustSettings",
    "WeightsSettings",
    "peak_lr",
]
