"""Samples a second of Merit's training, of a plain PyTorch loop, and of the best loop known for this device.

    python -m benches.train [--json FILE] [--cases cnn vit gpt2-lora] [--seconds 6] [--small | --full]

All three do the same steps on the same made samples, side by side in one run, each for about `--seconds` after a start
that is not counted. The best is the fastest of a fused optimizer, bfloat16 with channels last, one CUDA graph a step,
and a compiled step. Full sizes are for GPUs, small ones for CPUs; by default as the device is. The JSON is a list of
{case, device, merit, plain, best, best_is, ratio_to_best}.
"""

import argparse
import gc
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from trainer.config import DataSchema, ModelConfig, TaskConfig, TrainingConfig
from trainer.data import Dataset
from trainer.models import trained
from trainer.programs import Described, Program, open_program
from trainer.tasks import task_of
from trainer.train import pick_device, train_round


@dataclass(frozen=True)
class Case:
    """A model with made samples. opened: a fresh program on the CPU, always the same."""

    name: str
    opened: Callable[[], Program]
    data: Dataset
    batch_size: int


def image_schema(side: int, classes: int) -> DataSchema:
    image = {"kind": "image", "channels": 3, "height": side, "width": side}
    return DataSchema.model_validate({"features": {"image": image}, "target": {"kind": "category", "classes": classes}})


def images(n: int, side: int) -> Dataset:
    rng = np.random.default_rng(0)
    return Dataset({"image": rng.standard_normal((n, 3, side, side), np.float32)}, rng.integers(0, 10, n))


def cnn(full: bool) -> Case:
    """1.4 million parameters, 3 × 32 × 32, batches of 128 of 10,000 images."""
    parameters = {"channels": 3, "height": 32, "width": 32, "classes": 10}
    parameters |= {"filters": [64, 128, 256], "hidden": 256} if full else {"filters": [16, 32], "hidden": 64}
    model = ModelConfig(architecture="cnn", parameters=parameters)
    opened = lambda: open_program(model, image_schema(32, 10), TaskConfig(kind="classification"), {})  # noqa: E731
    return Case("cnn", opened, images(10_000 if full else 512, 32), 128)


def vit(full: bool) -> Case:
    """timm's small vision transformer: 21 million parameters, 224 × 224."""
    side = 224 if full else 32

    def opened() -> Program:
        import timm  # noqa: PLC0415 (takes seconds)

        torch.manual_seed(0)
        smaller = {} if full else {"img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 2, "num_heads": 2}
        module = timm.create_model("vit_small_patch16_224", pretrained=False, num_classes=10, **smaller)
        return Described(module, task_of(TaskConfig(kind="classification"), image_schema(side, 10)))

    return Case("vit", opened, images(1024 if full else 256, side), 64 if full else 32)


class Logits(nn.Module):
    """A causal language model as a module of tokens to logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=tokens, use_cache=False).logits


def gpt2_lora(full: bool) -> Case:
    """GPT-2's size (124 million parameters), of which adapters of rank 8 are trained; 256 tokens a sample."""
    length, words = (256, 50_257) if full else (32, 257)
    features = {"text": {"kind": "text", "length": length, "tokenizer": "made.json"}}
    schema = DataSchema.model_validate({"features": features, "target": None})

    def opened() -> Program:
        from peft import LoraConfig, get_peft_model  # noqa: PLC0415
        from transformers import GPT2Config, GPT2LMHeadModel  # noqa: PLC0415

        torch.manual_seed(0)
        sizes = {"n_positions": length} if full else {"n_positions": length, "n_embd": 64, "n_layer": 2, "n_head": 2}
        base = GPT2LMHeadModel(GPT2Config(vocab_size=words, bos_token_id=0, eos_token_id=0, **sizes))
        adapted = get_peft_model(base, LoraConfig(r=8, lora_alpha=16, target_modules=["c_attn"], fan_in_fan_out=True))
        return Described(Logits(adapted), task_of(TaskConfig(kind="language-modelling"), schema))

    tokens = np.random.default_rng(0).integers(0, words, (1024 if full else 256, length))
    return Case("gpt2-lora", opened, Dataset({"text": tokens}, None), 16)


CASES = {"cnn": cnn, "vit": vit, "gpt2-lora": gpt2_lora}


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def merit(case: Case, device: torch.device, seconds: float, mixed: bool) -> float:
    """Samples a second of `train_round`, from its start to its end, after a short round that is not counted."""
    config = TrainingConfig(learning_rate=0.001, optimizer="adam", batch_size=case.batch_size, mixed_precision=mixed)
    program = case.opened()
    few = config.model_copy(update={"steps": 3})
    train_round(program, case.data, few, round=1, seed=1, device=device)
    epochs = 1
    while True:
        wait(device)
        found = train_round(
            program, case.data, config.model_copy(update={"epochs": epochs}), round=1, seed=1, device=device
        )
        if found.notice:
            print(f"{case.name}: {found.notice}")
        if found.seconds >= seconds / 2:
            return epochs * len(case.data) / found.seconds
        epochs = max(epochs + 1, math.ceil(epochs * 0.8 * seconds / found.seconds))


Step = Callable[[dict[str, torch.Tensor], torch.Tensor | None], torch.Tensor]


def stepper(program: Program, device: torch.device, half: bool, fused: bool, compiled: bool = False) -> Step:
    """A plain step: forward, backward, Adam."""
    parameters = list(trained(program.module).values())
    graphable = device.type == "cuda"
    optimizer = torch.optim.Adam(parameters, lr=0.001, fused=fused or None, capturable=graphable and fused)
    losses = torch.compile(program.losses, mode="default") if compiled else program.losses

    def step(inputs: dict[str, torch.Tensor], target: torch.Tensor | None) -> torch.Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16) if half else nullcontext():
            loss = losses(inputs, target).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def graphed(step: Step, example: tuple[dict[str, torch.Tensor], torch.Tensor | None]) -> Step:
    """The step as one CUDA graph; shorter batches run plainly."""
    inputs, target = example
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            step(inputs, target)
    torch.cuda.current_stream().wait_stream(aside)
    held = {name: x.clone() for name, x in inputs.items()}, None if target is None else target.clone()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step(*held)

    def replay(inputs: dict[str, torch.Tensor], target: torch.Tensor | None) -> torch.Tensor:
        if any(len(x) != len(held[0][name]) for name, x in inputs.items()):
            return step(inputs, target)
        for name, x in inputs.items():
            held[0][name].copy_(x)
        if held[1] is not None:
            held[1].copy_(target)
        graph.replay()
        return loss

    return replay


def batches(case: Case, device: torch.device) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor | None]]:
    """Endless passes in random order over the data, which are on the device."""
    inputs = {name: torch.from_numpy(x).to(device) for name, x in case.data.inputs.items()}
    y = None if case.data.y is None else torch.from_numpy(case.data.y).to(device)
    while True:
        for index in torch.split(torch.randperm(len(case.data)).to(device), case.batch_size):
            yield {name: x[index] for name, x in inputs.items()}, None if y is None else y[index]


def loop(case: Case, device: torch.device, seconds: float, kind: str) -> float:
    """Samples a second of a loop of a kind; adds up its losses, as any loop does that tells them."""
    program = case.opened()
    program.module.to(device).train()
    half = kind in ("bfloat16", "graph, bfloat16", "compiled, bfloat16")
    if half:
        program.module.to(memory_format=torch.channels_last)
    step = stepper(program, device, half, fused=kind != "plain", compiled=kind.startswith("compiled"))
    source = batches(case, device)
    if kind.startswith("graph"):
        step = graphed(step, next(source))
    for _ in range(3):
        step(*next(source))
    wait(device)
    total, samples, started = torch.zeros((), device=device), 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        for _ in range(-(-len(case.data) // case.batch_size)):
            inputs, target = next(source)
            n = len(next(iter(inputs.values())))
            total += step(inputs, target) * n
            samples += n
        float(total)  # once a pass: what has been asked for is done
    return samples / (time.perf_counter() - started)


def kinds(device: torch.device) -> list[str]:
    """What may be the best loop on a device."""
    if device.type == "cuda":
        return ["fused", "bfloat16", "graph", "graph, bfloat16", "compiled, bfloat16"]
    return ["fused"]


def measure(case: Case, device: torch.device, seconds: float) -> dict[str, object]:
    mixed = device.type == "cuda"
    rates: dict[str, float] = {}
    for kind in ["merit", "plain", *kinds(device)]:
        try:
            rates[kind] = merit(case, device, seconds, mixed) if kind == "merit" else loop(case, device, seconds, kind)
        except Exception as error:
            if kind in ("merit", "plain"):
                raise
            print(f"{case.name}: {kind} cannot be done here: {str(error).splitlines()[0] if str(error) else error!r}")
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    best = max((kind for kind in rates if kind != "merit"), key=rates.__getitem__)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    result: dict[str, object] = {"case": case.name, "device": name, "merit": rates["merit"], "plain": rates["plain"]}
    return result | {"best": rates[best], "best_is": best, "ratio_to_best": rates["merit"] / rates[best]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seconds", type=float, default=6.0, help="that each loop is measured for")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--small", action="store_true", help="small models and data, whatever the device")
    size.add_argument("--full", action="store_true", help="full models and data, whatever the device")
    arguments = parser.parse_args()
    device = pick_device()
    full = arguments.full or (device.type == "cuda" and not arguments.small)
    print(f"samples a second on {device.type}, {'full' if full else 'small'} sizes")
    print(f"{'case':<10} {'merit':>10} {'plain':>10} {'best':>10}  {'of best':>7}  best is")
    results = []
    for name in arguments.cases:
        found = measure(CASES[name](full), device, arguments.seconds)
        results.append(found)
        print(
            f"{name:<10} {found['merit']:10.0f} {found['plain']:10.0f} {found['best']:10.0f}  "
            f"{found['ratio_to_best']:7.1%}  {found['best_is']}",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
