"""Three trainers and a model of one's own, through `import merit` alone: `python examples/notebook.py`.

An owner creates a job from a PyTorch module, three trainers train it, each on data of its own and one with a training
loop of its own; then the job is audited, everybody is paid, and the model is used. `notebook.ipynb` is the same.
"""

# %% A module of one's own, and a few numbers to learn: which of two clouds a point belongs to.
import numpy as np
import torch
from torch import nn

import merit


def clouds(count: int, seed: int) -> merit.Dataset:
    """Points of the plane around two centres."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, count)
    x = random.normal(0, 1, (count, 2)) + np.where(y[:, None] == 1, 1.5, -1.5)
    return merit.Dataset({"point": x.astype(np.float32)}, y)


torch.manual_seed(1)
program = merit.Source(
    module=nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)),
    loss=nn.CrossEntropyLoss(reduction="none"),
    inputs={"point": torch.zeros(4, 2)},  # a few samples, to trace module and loss with
    target=torch.zeros(4, dtype=torch.int64),
)

# %% The job: what trainers' data look like, how they train, and what they are paid.
JOB = {
    "name": "Two clouds",
    "data": {
        "features": {"point": {"kind": "tensor", "shape": [2]}},
        "target": {"kind": "category", "classes": 2, "names": ["left", "right"]},
    },
    "training": {"learning_rate": 0.05, "epochs": 3, "batch_size": 16},
    "market": {
        "reward": "0.3 ether",
        "rounds": 2,
        "min_trainers": 3,
        "max_trainers": 3,
        "start_delay": "0 s",
        "submit_window": "10 min",
        "settle_window": "10 min",
        "confirm_window": "10 min",
    },
}


# %% A trainer may train in a way of its own.
def train(work: merit.OwnRound) -> nn.Module:
    optimizer = torch.optim.AdamW(work.module.parameters(), lr=0.02)
    for inputs, target in work.loader():
        optimizer.zero_grad()
        work.loss(inputs, target).backward()
        optimizer.step()
    return work.module


# %% A market on this machine: all that follows is the same with `merit.connect(...)`, but for play money and clock.
market = merit.local()
job = market.create(JOB, program=program, validation=clouds(100, 1), progress=print)
print(f"Job {job.number} is {job.state.name.lower()}. {job.waits_for()}")

# %% Three trainers, each with an account and data of its own, at work in the background.
names = ["anna", "ben", "cleo"]
at_work = [
    market.account(name).job(job.number).join(clouds(80, 10 + number), train=train if name == "anna" else None)
    for number, name in enumerate(names)
]

# %% What happens, until the job is over.
for event in job.watch():
    print(type(event).__name__)
    if isinstance(event, merit.events.Revealed):
        market.forward(600)  # members have ten minutes to dispute: on this chain they can be skipped
for trainer in at_work:
    trainer.wait()  # each claims its pay

# %% What its owner's node finds in each round, and what an auditor finds who trusts nobody.
for check in job.oversee():
    print(f"Round {check.round}: {check.found.name} {check.found.value:.1%} {check.problem}")
report = job.audit(models=True)
print(f"audit: {'OK' if report.ok else report.findings} ({report.proofs} proofs checked)")

# %% Who is paid what: an account withdraws its pay and its stake.
for name, paid in zip(names, job.pay().values(), strict=True):
    print(f"{name} has {market.account(name).withdraw() / 1e18:.4f} ether, of which {paid.pay / 1e18:.4f} are pay")

# %% The model, as a file that says how to use it.
job.model().save("two-clouds.safetensors")
market.close()

answer = merit.load_model("two-clouds.safetensors").predict(clouds(5, 99))
print(answer.values)
