#!/usr/bin/env python3
"""Interpolated modified Kneser-Ney smoothing from the formulas, with dictionaries.

kneser_ney.py TRAIN SPLIT --order N [--tokenizer word|char]

Trains an n-gram model on TRAIN and prints the mean negative log-probability, in nats, of the tokens of SPLIT but the
first, and the sum of the probabilities of all tokens after a few contexts.

Formulas: Chen & Goodman, An Empirical Study of Smoothing Techniques for Language Modeling, TR-10-98, 1998, section 3.
"""

import argparse
import math
from collections import Counter, defaultdict

UNKNOWN = "<unk>"
END = "<eos>"
START = object()  # the left context of the text's first token; not a token


def read_tokens(path, tokenizer):
    if tokenizer == "char":
        with open(path, encoding="utf-8", newline="") as file:
            return list(file.read())
    tokens = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            tokens += line.split()
            tokens.append(END)
    return tokens


def ngrams(tokens, length):
    return zip(*(tokens[start:] for start in range(length)))


def adjusted_counts(tokens, order):
    """For each length: how often an n-gram of the full length occurs, how many left contexts a shorter one has."""
    counts = {order: Counter(ngrams(tokens, order))}
    for length in range(1, order):
        distinct = set(ngrams([START] + tokens, length + 1))
        counts[length] = Counter(gram[1:] for gram in distinct)
    return counts


def discounts_of(counts):
    """D1, D2, D3+ of equation (26); 0.5, 1, 1.5 where a count of counts is zero or a discount is not in (0, k]."""
    n = Counter(counts.values())
    if n[1] and n[2] and n[3]:
        y = n[1] / (n[1] + 2 * n[2])
        result = [k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3)]
        if all(0 < d <= k for k, d in zip((1, 2, 3), result)):
            return result
    return [0.5, 1.0, 1.5]


class KneserNey:
    def __init__(self, tokens, order, vocabulary_size):
        self.order = order
        self.vocabulary_size = vocabulary_size
        self.counts = adjusted_counts(tokens, order)
        self.discounts = {length: discounts_of(counts) for length, counts in self.counts.items()}
        self.totals = defaultdict(int)
        self.discounted = defaultdict(float)
        for length, counts in self.counts.items():
            for gram, count in counts.items():
                self.totals[gram[:-1]] += count
                self.discounted[gram[:-1]] += self.discount(length, count)

    def discount(self, length, count):
        return self.discounts[length][min(count, 3) - 1] if count else 0.0

    def probability(self, token, context):
        """p(token | context) for a tuple of at most order - 1 tokens."""
        shorter = self.probability(token, context[1:]) if context else 1 / self.vocabulary_size
        total = self.totals.get(context, 0)
        if total == 0:
            return shorter
        length = len(context) + 1
        count = self.counts[length].get(context + (token,), 0)
        gamma = self.discounted[context] / total
        return (count - self.discount(length, count)) / total + gamma * shorter


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("split")
    parser.add_argument("--order", type=int, required=True)
    parser.add_argument("--tokenizer", choices=["word", "char"], default="word")
    arguments = parser.parse_args()
    if arguments.order < 1:
        parser.error("--order must be at least 1")

    train = read_tokens(arguments.train, arguments.tokenizer)
    split = read_tokens(arguments.split, arguments.tokenizer)
    vocabulary = set(train)
    if arguments.tokenizer == "word":
        vocabulary |= {UNKNOWN, END}
        split = [token if token in vocabulary else UNKNOWN for token in split]
    elif not vocabulary.issuperset(split):
        parser.error(f"{arguments.split} has characters that {arguments.train} lacks")
    if not train or len(split) < 2:
        parser.error("the texts are too short")

    model = KneserNey(train, arguments.order, len(vocabulary))
    log_probabilities = [
        math.log(model.probability(split[i], tuple(split[max(0, i - arguments.order + 1):i])))
        for i in range(1, len(split))
    ]
    print(f"tokens {len(split)}")
    print(f"vocabulary {len(vocabulary)}")
    for length in sorted(model.discounts):
        print(f"discounts {length}: " + " ".join(f"{d:.6f}" for d in model.discounts[length]))
    nats = -math.fsum(log_probabilities) / len(log_probabilities)
    print(f"nats_per_token {nats:.9f}")
    print(f"perplexity {math.exp(nats):.3f}")
    for end in sorted({0, 1, 2, len(split) // 2, len(split) - 1}):
        context = tuple(split[max(0, end - arguments.order + 1):end])
        total = math.fsum(model.probability(token, context) for token in vocabulary)
        print(f"sum of probabilities after the first {end} tokens: {total:.12f}")


if __name__ == "__main__":
    main()
