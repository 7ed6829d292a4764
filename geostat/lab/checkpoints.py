"""Checkpoints of the laboratory: a directory of one safetensors file and its sizes."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from geostat.errors import EmptyCheckpointError
from geostat.lab.model import GPT, GPTConfig

__all__ = ["DTYPES", "load_checkpoint", "save_checkpoint"]

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


def save_checkpoint(model: GPT, directory: str | Path, dtype: str = "bf16") -> Path:
    """Write ``model.safetensors`` and ``config.json`` aside and rename: the directory is whole or absent.

    Parameters
    ----------
    model
        The model; its own fp32 weights stay as they are.
    directory
        For instance ``opd-0/bf16/step-25``. One that exists is replaced.
    dtype
        ``"bf16"``, rounded to nearest as public checkpoints are, or ``"fp32"``.

    Returns
    -------
    Path
        The directory.
    """
    directory = Path(directory)
    aside = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    tensors = {name: tensor.to("cpu", DTYPES[dtype]) for name, tensor in model.state_dict().items()}
    save_file(tensors, aside / "model.safetensors", metadata={"format": "pt"})
    config = {
        "model_type": "geostat_lab",
        "torch_dtype": str(DTYPES[dtype]).removeprefix("torch."),
        **asdict(model.config),
    }
    (aside / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    shutil.rmtree(directory, ignore_errors=True)
    aside.rename(directory)
    return directory


def load_checkpoint(directory: str | Path) -> GPT:
    """Read what `save_checkpoint` wrote, as fp32 weights (rounded, if they were stored in bf16).

    Raises
    ------
    EmptyCheckpointError
        The directory lacks the weights or their sizes.
    """
    directory = Path(directory)
    missing = [name for name in ("config.json", "model.safetensors") if not (directory / name).is_file()]
    if missing:
        raise EmptyCheckpointError(
            f"{directory} was asked for as a checkpoint of geostat.lab but has no {' and no '.join(missing)}."
            " Pass a directory such as opd-0/bf16/step-25."
        )
    config = json.loads((directory / "config.json").read_text())
    sizes = {field: config[field] for field in GPTConfig.__dataclass_fields__}
    return model_from_file(directory / "model.safetensors", GPTConfig(**sizes))


def model_from_file(path: Path, config: GPTConfig) -> GPT:
    """Build a model of given sizes with the weights of one safetensors file, in fp32."""
    with torch.device("meta"):
        model = GPT(config)
    tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
    model.load_state_dict(tensors, assign=True)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model
