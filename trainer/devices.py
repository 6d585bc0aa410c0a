"""Where a trainer trains: one device, or several of this machine side by side."""

import torch

from trainer.train import pick_device


def parse_devices(text: str) -> tuple[torch.device, ...]:
    """Devices by name with commas between, `all` for all GPUs, "" for the best one there is.

    Raises ValueError for one that cannot be used here.
    """
    if not text:
        return (pick_device(),)
    count = torch.cuda.device_count()
    if text == "all":
        if not count:
            raise ValueError("there is no GPU here that all could be")
        return tuple(torch.device("cuda", index) for index in range(count))
    found = []
    for name in text.split(","):
        try:
            device = torch.device(name.strip())
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise ValueError(f"{name!r} cannot be used here: {str(error).splitlines()[0]}") from error
        found.append(device)
    return tuple(found)
