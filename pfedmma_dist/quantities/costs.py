"""Costs: what a run takes in numbers, bytes, seconds and memory, and the loss it comes to.

A round's own number is measured where the round is, and recorded under the quantity's column.
"""

import numpy as np

from pfedmma_dist.quantities.quantity import Quantity, Source

TAKING_PART = "taking_part"
"""Beside the columns of metrics.csv: how many clients trained in each of the rounds."""


def last(values: np.ndarray) -> float:
    """Return the last round's number, nan where it has none."""
    return float(values[-1])


def total(values: np.ndarray) -> float:
    """Return the sum over all rounds."""
    return float(values.sum())


def median(values: np.ndarray) -> float:
    """Return the median round's number, which the first round, that also fills caches, leaves."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def median_where_any(values: np.ndarray) -> float:
    """Return the median over the rounds that have more than nothing."""
    some = values[values > 0]
    return float(np.median(some)) if len(some) else float("nan")


def highest(values: np.ndarray) -> float:
    """Return the highest number of any round."""
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else float("nan")


def median_of_all(up: np.ndarray, down: np.ndarray, clients: np.ndarray) -> float:
    """Return the bytes of all clients in the median round."""
    return float(np.median((up + down) * clients))


LOSS = Quantity(
    key="loss", unit="nats", heading="Loss", meaning="loss of the last round's training images",
    source=Source.ROUNDS, of=("loss",), make=last, column="loss", tag="train/loss",
    line="loss {:.4f}", axis="training loss",
)  # fmt: skip
SAMPLES_PER_SECOND = Quantity(
    key="samples_per_second", unit="samples/s", heading="Images/s",
    meaning="images trained on per second, of all ranks in the median round",
    source=Source.ROUNDS, of=("samples_per_second",), make=median, column="samples_per_second",
    tag="cost/samples_per_second", line="{:,.0f} samples/s", axis="images per second",
)  # fmt: skip
ROUND_SECONDS = Quantity(
    key="round_seconds", unit="seconds", heading="Round",
    meaning="seconds of training in the median round",
    source=Source.ROUNDS, of=("train_seconds",), make=median, column="train_seconds",
    tag="cost/train_seconds", axis="seconds per round",
)  # fmt: skip
EVALUATE_SECONDS = Quantity(
    key="evaluate_seconds", unit="seconds", heading="Scoring",
    meaning="seconds of scoring in the median of the rounds that were scored",
    source=Source.ROUNDS, of=("evaluate_seconds",), make=median_where_any,
    column="evaluate_seconds", tag="cost/evaluate_seconds", axis="seconds of scoring",
)  # fmt: skip
CLIENT_UP_BYTES = Quantity(
    key="client_up_bytes", unit="bytes", heading="Up",
    meaning="bytes that a client sent in the last round, on average where it sends only once",
    source=Source.ROUNDS, of=("client_up_bytes",), make=last, column="client_up_bytes",
    tag="cost/client_up_bytes", axis="bytes up, per client and round",
)  # fmt: skip
CLIENT_DOWN_BYTES = Quantity(
    key="client_down_bytes", unit="bytes", heading="Down",
    meaning="bytes that a client received in the last round, those to start from included",
    source=Source.ROUNDS, of=("client_down_bytes",), make=last, column="client_down_bytes",
    tag="cost/client_down_bytes", axis="bytes down, per client and round",
)  # fmt: skip
RANK_BYTES = Quantity(
    key="rank_bytes", unit="bytes", heading="Rank, bytes",
    meaning="bytes that a rank handed to the collective in the last round",
    source=Source.ROUNDS, of=("rank_bytes",), make=last, column="rank_bytes",
    tag="cost/rank_bytes", axis="bytes per rank and round",
)  # fmt: skip
RESIDENT_MIB = Quantity(
    key="resident_mib", unit="MiB", heading="Memory, MiB", meaning="peak memory of rank 0",
    source=Source.ROUNDS, of=("resident_mib",), make=highest, column="resident_mib",
    tag="cost/resident_mib", axis="peak memory (MiB)",
)  # fmt: skip
GPU_MIB = Quantity(
    key="gpu_mib", unit="MiB", heading="GPU memory, MiB",
    meaning="peak memory of tensors on the GPU of rank 0",
    source=Source.ROUNDS, of=("gpu_mib",), make=highest, column="gpu_mib", tag="cost/gpu_mib",
    axis="peak GPU memory (MiB)",
)  # fmt: skip
TOTAL_BYTES = Quantity(
    key="total_bytes", unit="bytes", heading="All clients",
    meaning="bytes up and down of all clients in the median round",
    source=Source.ROUNDS, of=("client_up_bytes", "client_down_bytes", TAKING_PART),
    make=median_of_all, axis="bytes per round, all clients",
)  # fmt: skip

SIMULATED_ROUND = Quantity(
    key="simulated_round", unit="seconds", heading="Simulated round",
    meaning="seconds of the median round on the clients' simulated devices (system.fleet)",
    source=Source.ROUNDS, of=("simulated_seconds",), make=median, column="simulated_seconds",
    tag="clock/round_seconds", axis="simulated seconds per round",
)  # fmt: skip
SIMULATED_TIME = Quantity(
    key="simulated_time", unit="seconds", heading="Simulated time",
    meaning="seconds of all rounds on the clients' simulated devices (system.fleet)",
    source=Source.ROUNDS, of=("simulated_so_far",), make=last, column="simulated_so_far",
    tag="clock/seconds_so_far", line="{:,.1f} s simulated", axis="simulated seconds so far",
)  # fmt: skip
ARRIVED = Quantity(
    key="clients_arrived", unit="numbers", heading="Uploads",
    meaning="uploads that arrived in time, over all rounds on the clock",
    source=Source.ROUNDS, of=("clients_arrived",), make=total, column="clients_arrived",
    tag="clock/clients_arrived", axis="uploads that arrived",
)  # fmt: skip
LATE = Quantity(
    key="clients_late", unit="numbers", heading="Late",
    meaning="uploads that were late or not needed any more, over all rounds on the clock",
    source=Source.ROUNDS, of=("clients_late",), make=total, column="clients_late",
    tag="clock/clients_late", axis="uploads that were late",
)  # fmt: skip
DROPPED = Quantity(
    key="clients_lost", unit="numbers", heading="Lost",
    meaning="uploads that were lost on the way, over all rounds on the clock",
    source=Source.ROUNDS, of=("clients_lost",), make=total, column="clients_lost",
    tag="clock/clients_lost", axis="uploads that were lost",
)  # fmt: skip

TRAINED = Quantity(
    key="trained", unit="numbers", heading="Trained", meaning="numbers that a client trains",
    source=Source.RESULT, terminal="Trained",
)  # fmt: skip
UP_NUMBERS = Quantity(
    key="up_numbers", unit="numbers", heading="Up",
    meaning="numbers that a client sends a round, in its first alone where it counts",
    source=Source.RESULT, terminal="Up", below="up_bytes",
)  # fmt: skip
DOWN_NUMBERS = Quantity(
    key="down_numbers", unit="numbers", heading="Down",
    meaning="numbers that a client receives a round", source=Source.RESULT, terminal="Down",
    below="down_bytes",
)  # fmt: skip
START_NUMBERS = Quantity(
    key="start_numbers", unit="numbers", heading="Start",
    meaning="numbers received beside them to start from, where the paper counts them apart",
    source=Source.RESULT,
)  # fmt: skip
UP_BYTES = Quantity(
    key="up_bytes", unit="bytes", heading="Up, bytes", meaning="up_numbers as bytes",
    source=Source.RESULT,
)  # fmt: skip
DOWN_BYTES = Quantity(
    key="down_bytes", unit="bytes", heading="Down, bytes", meaning="down_numbers as bytes",
    source=Source.RESULT,
)  # fmt: skip
RUN_SECONDS = Quantity(
    key="seconds", unit="seconds", heading="Run", meaning="wall clock of the whole run",
    source=Source.RESULT, terminal="Time",
)  # fmt: skip
EPSILON = Quantity(
    key="epsilon", unit="epsilon", heading="Epsilon",
    meaning="privacy of one client after all rounds: chances of any outcome differ by e^epsilon at "
    "most with it and without",
    source=Source.RESULT, column="epsilon", tag="privacy/epsilon", line="epsilon {:.3g}",
    axis="epsilon",
)  # fmt: skip
DELTA = Quantity(
    key="delta", unit="epsilon", heading="Delta",
    meaning="chance that is left out of what epsilon promises", source=Source.RESULT,
)  # fmt: skip

TRAINING: tuple[Quantity, ...] = (LOSS, EPSILON)
TIMES: tuple[Quantity, ...] = (SAMPLES_PER_SECOND, ROUND_SECONDS, EVALUATE_SECONDS)
TRAFFIC: tuple[Quantity, ...] = (
    CLIENT_UP_BYTES,
    CLIENT_DOWN_BYTES,
    RANK_BYTES,
    RESIDENT_MIB,
    GPU_MIB,
    TOTAL_BYTES,
)
CLOCK: tuple[Quantity, ...] = (SIMULATED_ROUND, SIMULATED_TIME, ARRIVED, LATE, DROPPED)
"""Of runs with a virtual clock alone."""
RESULTS: tuple[Quantity, ...] = (
    TRAINED,
    UP_NUMBERS,
    DOWN_NUMBERS,
    START_NUMBERS,
    UP_BYTES,
    DOWN_BYTES,
    RUN_SECONDS,
)
