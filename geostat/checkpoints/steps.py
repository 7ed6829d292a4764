"""The training step that a path names."""

import re

_WORDS = r"(?:global[-_]?step|step|checkpoint|ckpt|iteration|iter)"
_STEP = re.compile(rf"^(?:.*[-_.])?{_WORDS}[-_=]?(\d+)$", re.IGNORECASE)
_LIKE_A_STEP = re.compile(rf"^{_WORDS}(?:[-_=]|\d)", re.IGNORECASE)
_FILE_SUFFIX = re.compile(r"\.(?:safetensors|pt|pth|bin|ckpt)$")


def step_of(path: str) -> int | None:
    """Step that a path names, read from its last part that names one; None if no part does.

    Examples
    --------
    >>> step_of("runs/opd-0/step-100"), step_of("checkpoint-20/model.safetensors"), step_of("runs/opd-0")
    (100, 20, None)
    """
    for part in reversed(re.split(r"[/\\]", path)):
        found = _STEP.match(_FILE_SUFFIX.sub("", part))
        if found:
            return int(found[1])
    return None


def looks_like_step(name: str) -> bool:
    """Whether a name begins as that of a step does, whatever follows ("checkpoint-best", "step-100.tmp")."""
    return _LIKE_A_STEP.match(name) is not None
