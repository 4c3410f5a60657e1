"""Loads the weights of a Lockstep checkpoint into PyTorch's own modules and compares logits.

    torch_logits.py CHECKPOINT EXPECTED

EXPECTED is JSON: the cell, the activation of an Elman cell, token ids, and the logits that Lockstep computed for each of
them. Token ids are one text, or with "sentences" the sentences of a batch for a tagger, each with its list of logits.
Prints the largest difference of a logit as a share of max(1, |logit|), and fails if it exceeds the tolerance.
"""

import json
import sys

import h5py
import torch

TOLERANCE = 1e-5


def recurrent_module(expected, inputs, hidden, **options):
    match expected["cell"]:
        case "lstm":
            return torch.nn.LSTM(inputs, hidden, **options)
        case "gru":
            return torch.nn.GRU(inputs, hidden, **options)
        case "elman":
            return torch.nn.RNN(inputs, hidden, nonlinearity=expected["activation"], **options)
    raise SystemExit(f"no module for cell {expected['cell']!r}")


def logits_of_text(model, expected):
    tokens = torch.tensor(expected["tokens"]).unsqueeze(1)
    outputs, _ = model["rnn"](model["encoder"](tokens))
    return model["decoder"](outputs.squeeze(1)), torch.tensor(expected["logits"])


def logits_of_sentences(model, expected):
    sentences = [torch.tensor(sentence) for sentence in expected["sentences"]]
    packed = torch.nn.utils.rnn.pack_sequence(sentences, enforce_sorted=False)
    inputs = packed._replace(data=model["encoder"](packed.data))
    outputs, lengths = torch.nn.utils.rnn.pad_packed_sequence(model["rnn"](inputs)[0], batch_first=True)
    found = torch.cat([row[:length] for row, length in zip(outputs, lengths)])
    return model["decoder"](found), torch.cat([torch.tensor(logits) for logits in expected["logits"]])


def main(checkpoint, expected_path):
    with open(expected_path, encoding="utf-8") as file:
        expected = json.load(file)
    with h5py.File(checkpoint, "r") as file:
        weights = {name: torch.from_numpy(tensor[:]) for name, tensor in file["parameters"].items()}

    vocabulary, inputs = weights["encoder.weight"].shape
    hidden = weights["rnn.weight_hh_l0"].shape[1]
    layers = sum(name.startswith("rnn.weight_hh_l") and not name.endswith("_reverse") for name in weights)
    # A tied model has no matrix of its own for the decoder.
    weights.setdefault("decoder.weight", weights["encoder.weight"])

    bidirectional = "rnn.weight_hh_l0_reverse" in weights
    model = torch.nn.ModuleDict(
        {
            "encoder": torch.nn.Embedding(vocabulary, inputs),
            "rnn": recurrent_module(expected, inputs, hidden, num_layers=layers, bidirectional=bidirectional),
            "decoder": torch.nn.Linear(*reversed(weights["decoder.weight"].shape)),
        }
    )
    # Strict: every name must be PyTorch's, and none may be missing.
    model.load_state_dict(weights, strict=True)

    with torch.no_grad():
        theirs, ours = (logits_of_sentences if "sentences" in expected else logits_of_text)(model, expected)
    difference = ((theirs - ours).abs() / theirs.abs().clamp(min=1)).max().item()
    print(f"{difference:.1e}")
    if not difference <= TOLERANCE:
        raise SystemExit(f"the logits differ by {difference}, more than {TOLERANCE}")


if __name__ == "__main__":
    main(*sys.argv[1:])
