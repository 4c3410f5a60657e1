"""Loads the weights of a Lockstep checkpoint into PyTorch's own modules and compares logits.

    torch_logits.py CHECKPOINT EXPECTED

EXPECTED is JSON: the cell, the activation of an Elman cell, token ids, and the logits that Lockstep computed after each
of them. Prints the largest difference of a logit, and fails if it exceeds the tolerance.
"""

import json
import sys

import h5py
import torch

TOLERANCE = 1e-4


def recurrent_module(expected, inputs, hidden, layers):
    match expected["cell"]:
        case "lstm":
            return torch.nn.LSTM(inputs, hidden, layers)
        case "gru":
            return torch.nn.GRU(inputs, hidden, layers)
        case "elman":
            return torch.nn.RNN(inputs, hidden, layers, nonlinearity=expected["activation"])
    raise SystemExit(f"no module for cell {expected['cell']!r}")


def main(checkpoint, expected_path):
    with open(expected_path, encoding="utf-8") as file:
        expected = json.load(file)
    with h5py.File(checkpoint, "r") as file:
        weights = {name: torch.from_numpy(tensor[:]) for name, tensor in file["parameters"].items()}

    vocabulary, inputs = weights["encoder.weight"].shape
    hidden = weights["rnn.weight_hh_l0"].shape[1]
    layers = sum(name.startswith("rnn.weight_hh_l") for name in weights)
    # A tied model has no matrix of its own for the decoder.
    weights.setdefault("decoder.weight", weights["encoder.weight"])

    model = torch.nn.ModuleDict(
        {
            "encoder": torch.nn.Embedding(vocabulary, inputs),
            "rnn": recurrent_module(expected, inputs, hidden, layers),
            "decoder": torch.nn.Linear(hidden, vocabulary),
        }
    )
    # Strict: every name must be PyTorch's, and none may be missing.
    model.load_state_dict(weights, strict=True)

    with torch.no_grad():
        tokens = torch.tensor(expected["tokens"]).unsqueeze(1)
        outputs, _ = model["rnn"](model["encoder"](tokens))
        logits = model["decoder"](outputs.squeeze(1))
    difference = (logits - torch.tensor(expected["logits"])).abs().max().item()
    print(f"{difference:.3e} of {logits.abs().max().item():.3f}")
    if not difference <= TOLERANCE:
        raise SystemExit(f"the logits differ by {difference}, more than {TOLERANCE}")


if __name__ == "__main__":
    main(*sys.argv[1:])
