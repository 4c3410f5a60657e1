"""Trains in PyTorch what a Lockstep run has trained, and compares step by step.

    torch_trajectory.py SETTINGS

SETTINGS is JSON: the run's directory, the corpus, the file of initial tensors, the task and the hyperparameters. For each
row of the run's metrics.jsonl the loss and the norm of the gradient before clipping, or the validation loss and accuracy,
are computed here in double precision. Prints the largest relative difference, and fails if it exceeds the tolerance.
"""

import json
import sys

import h5py
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

TOLERANCE = 1e-5


class Model(torch.nn.Module):
    def __init__(self, tensors, settings):
        super().__init__()
        vocabulary, embedding = tensors["encoder.weight"].shape
        classes, features = tensors["decoder.weight"].shape
        kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "elman": torch.nn.RNN}[settings["cell"]]
        self.encoder = torch.nn.Embedding(vocabulary, embedding)
        self.rnn = kind(
            embedding,
            tensors["rnn.weight_hh_l0"].shape[1],
            num_layers=settings["layers"],
            bidirectional=settings["bidirectional"],
        )
        self.decoder = torch.nn.Linear(features, classes)
        self.load_state_dict(tensors, strict=True)

    def forward(self, tokens, state):
        outputs, state = self.rnn(self.encoder(tokens), state)
        return self.decoder(outputs), state

    def tag(self, sentences):
        """Logits and labels of all tokens."""
        sentences = sorted(sentences, key=lambda sentence: -len(sentence[0]))
        lengths = torch.tensor([len(tokens) for tokens, _ in sentences])
        tokens = torch.nn.utils.rnn.pad_sequence([tokens for tokens, _ in sentences])
        labels = torch.nn.utils.rnn.pad_sequence([labels for _, labels in sentences], padding_value=-100)
        outputs, _ = self.rnn(pack_padded_sequence(self.encoder(tokens), lengths))
        logits = self.decoder(pad_packed_sequence(outputs)[0])
        known = labels.flatten() >= 0
        return logits.flatten(0, 1)[known], labels.flatten()[known]


def shards(corpus, split):
    with h5py.File(f"{corpus}/manifest.h5") as manifest:
        names = [name.decode() for name in manifest[f"splits/{split}"]["file"]]
    for name in names:
        with h5py.File(f"{corpus}/{name}") as shard:
            yield shard


def read_tokens(corpus, split):
    return torch.cat([torch.from_numpy(shard["tokens"][:].astype("int64")) for shard in shards(corpus, split)])


def read_sentences(corpus, split):
    sentences = []
    for shard in shards(corpus, split):
        tokens, labels = (torch.from_numpy(shard[name][:].astype("int64")) for name in ["source/tokens", "labels"])
        offsets = shard["source/offsets"][:]
        for start, end in zip(offsets, offsets[1:]):
            sentences.append((tokens[start:end], labels[start:end]))
    return sentences


def windows(tokens, streams, steps):
    """Inputs and targets [steps, streams] of an epoch; the last stream's last position has no target."""
    length = len(tokens) // streams
    inputs = tokens[: length * streams].view(streams, length).t()
    following = torch.cat([tokens[1 : length * streams], torch.tensor([-100])]).view(streams, length).t()
    for start in range(0, length, steps):
        if start > 0 and 2 * (length - start) < steps:
            return
        yield inputs[start : start + steps], following[start : start + steps]


def epoch_losses(model, settings):
    """A mean loss for each step of one epoch."""
    if settings["task"] == "tagging":
        logits, labels = model.tag(read_sentences(settings["corpus"], "train"))
        yield torch.nn.functional.cross_entropy(logits, labels)
        return
    state = None
    for inputs, targets in windows(read_tokens(settings["corpus"], "train"), settings["streams"], settings["window"]):
        logits, state = model(inputs, state)
        state = tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
        yield torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


@torch.no_grad()
def validate(model, settings):
    if settings["task"] == "tagging":
        logits, labels = model.tag(read_sentences(settings["corpus"], "valid"))
        right = (logits.argmax(1) == labels).double().mean().item()
        return {"valid_nats_per_token": torch.nn.functional.cross_entropy(logits, labels).item(), "valid_accuracy": right}
    # Every token but the first is a target; the last stream takes what does not fill the streams evenly.
    tokens = read_tokens(settings["corpus"], "valid")
    streams, positions, total = settings["streams"], len(tokens) - 1, 0.0
    length = len(tokens) // streams
    for stream in range(streams):
        begin, end = stream * length, (stream + 1) * length if stream < streams - 1 else positions
        logits, _ = model(tokens[begin:end, None], None)
        total += torch.nn.functional.cross_entropy(logits[:, 0], tokens[begin + 1 : end + 1], reduction="sum").item()
    return {"valid_nats_per_token": total / positions}


def train(model, settings):
    """What each row of metrics.jsonl should say."""
    rate = settings["learning_rate"]
    if settings["optimizer"] == "adam":
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=settings["momentum"])
    for epoch in range(settings["epochs"]):
        for loss in epoch_losses(model, settings):
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings["clip_norm"])
            optimizer.step()
            yield {"loss": loss.item(), "gradient_norm": norm.item()}
        yield validate(model, settings)


def main(path):
    with open(path, encoding="utf-8") as file:
        settings = json.load(file)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    with h5py.File(settings["initial"], "r") as file:
        tensors = {name: torch.from_numpy(tensor[:].astype("float64")) for name, tensor in file["parameters"].items()}
    with open(f"{settings['run']}/metrics.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    largest = 0.0
    expected = list(train(Model(tensors, settings), settings))
    if len(expected) != len(rows):
        raise SystemExit(f"{len(rows)} rows in metrics.jsonl, {len(expected)} here")
    for row, figures in zip(rows, expected):
        for name, value in figures.items():
            difference = abs(row[name] - value) / abs(value) if value else abs(row[name])
            largest = max(largest, difference)
            if not difference <= TOLERANCE:
                raise SystemExit(f"step {row['step']}: {name} is {row[name]}, PyTorch has {value}")
    print(f"{largest:.1e} over {len(rows)} rows")


if __name__ == "__main__":
    main(*sys.argv[1:])
