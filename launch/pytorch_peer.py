#!/usr/bin/env python3
"""The same training step in PyTorch, for launch/compare-pytorch: prints one JSON object with its speed.

A stacked LSTM language model on random tokens, truncated BPTT with the state carried and detached, cross entropy over
all tokens, clipping at 5, SGD. What varies is how PyTorch is asked to compute it.
"""
import argparse
import json
import os
import resource
import statistics
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--layers", type=int, default=2)
parser.add_argument("--hidden", type=int, default=650)
parser.add_argument("--embedding", type=int, default=650)
parser.add_argument("--vocabulary", type=int, default=10000)
parser.add_argument("--streams", type=int, default=20, help="of this process")
parser.add_argument("--window", type=int, default=35)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seconds", type=float, default=20, help="time budget of the timed steps")
parser.add_argument("--matmul", default="highest", choices=["highest", "medium"])
parser.add_argument("--precision", default="f32", choices=["f32", "autocast", "head"],
                    help="autocast: everything in bf16 autocast; head: the decoder alone")
parser.add_argument("--model", default="nn", choices=["nn", "cell"], help="nn.LSTM, or a hand-written layer in bf16")
parser.add_argument("--fused-loss", action="store_true", help="F.linear_cross_entropy")
parser.add_argument("--workers", default="one", choices=["one", "ddp", "mpi4py"])
options = parser.parse_args()
os.environ.setdefault("OMP_NUM_THREADS", str(options.threads))

import torch  # noqa: E402  (after the thread count)
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

torch.set_num_threads(options.threads)
torch.set_float32_matmul_precision(options.matmul)
torch.manual_seed(1)

rank, world, comm = 0, 1, None
if options.workers == "ddp":
    import torch.distributed as dist
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
elif options.workers == "mpi4py":
    from mpi4py import MPI
    comm = MPI.COMM_WORLD
    rank, world = comm.rank, comm.size
if world > 1:
    os.sched_setaffinity(0, {rank % os.cpu_count()})


def gates_forward(pre, cell):
    i, f, g, o = pre.float().chunk(4, 1)
    i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
    new = f * cell + i * g
    squashed = torch.tanh(new)
    return o * squashed, new, torch.cat([i, f, g, o], 1), squashed


def gates_backward(d_hidden, d_cell, activations, squashed, cell):
    i, f, g, o = activations.chunk(4, 1)
    d = d_cell + d_hidden * o * (1 - squashed * squashed)
    d_pre = torch.cat([d * g * i * (1 - i), d * cell * f * (1 - f), d * i * (1 - g * g),
                       d_hidden * squashed * o * (1 - o)], 1)
    return d_pre, d * f


if options.model == "cell":
    try:
        gates_forward = torch.compile(gates_forward, dynamic=False)
        gates_backward = torch.compile(gates_backward, dynamic=False)
    except RuntimeError:
        pass  # torch.compile is not available: eager mode


class LayerInBF16(torch.autograd.Function):
    """One LSTM layer by hand: the input product over all steps at once, weight gradients as one product each."""

    @staticmethod
    def forward(context, x, hidden, cell, w_input, w_hidden, bias):
        steps, streams, _ = x.shape
        half = torch.bfloat16
        x, w_input, w_hidden = x.to(half), w_input.to(half), w_hidden.to(half)
        pre = torch.addmm(bias.to(half), x.flatten(0, 1), w_input.t()).view(steps, streams, -1)
        hiddens, cells, activations, squashes = [hidden.to(half)], [cell], [], []
        transposed = w_hidden.t()
        for t in range(steps):
            h, c, a, s = gates_forward(torch.addmm(pre[t], hiddens[-1], transposed), cells[-1])
            hiddens.append(h.to(half))
            cells.append(c)
            activations.append(a)
            squashes.append(s)
        context.tape = (x, w_input, w_hidden, hiddens, cells, activations, squashes)
        return torch.stack(hiddens[1:]).float(), hiddens[-1].float(), cells[-1]

    @staticmethod
    def backward(context, d_output, d_hidden, d_cell):
        x, w_input, w_hidden, hiddens, cells, activations, squashes = context.tape
        steps, streams, _ = x.shape
        d_pre = [None] * steps
        for t in reversed(range(steps)):
            d, d_cell = gates_backward(d_output[t] + d_hidden, d_cell, activations[t], squashes[t], cells[t])
            d_pre[t] = d.to(torch.bfloat16)
            d_hidden = (d_pre[t] @ w_hidden).float()
        d = torch.cat(d_pre)
        d_x = (d @ w_input).view(steps, streams, -1).float() if context.needs_input_grad[0] else None
        return (d_x, d_hidden, d_cell, (d.t() @ x.flatten(0, 1)).float(), (d.t() @ torch.cat(hiddens[:-1])).float(),
                d.float().sum(0))


class CellLSTM(nn.Module):
    def __init__(self):
        super().__init__()
        rows = 4 * options.hidden
        sizes = [options.embedding] + [options.hidden] * (options.layers - 1)
        scale = options.hidden ** -0.5
        make = lambda *shape: nn.Parameter(torch.empty(*shape).uniform_(-scale, scale))  # noqa: E731
        self.w_input = nn.ParameterList(make(rows, size) for size in sizes)
        self.w_hidden = nn.ParameterList(make(rows, options.hidden) for _ in sizes)
        self.bias = nn.ParameterList(make(rows) for _ in sizes)

    def forward(self, x, state):
        hiddens, cells = [], []
        for layer, weights in enumerate(zip(self.w_input, self.w_hidden, self.bias)):
            x, h, c = LayerInBF16.apply(x, state[0][layer], state[1][layer], *weights)
            hiddens.append(h)
            cells.append(c)
        return x, (torch.stack(hiddens), torch.stack(cells))


class LanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Embedding(options.vocabulary, options.embedding)
        self.rnn = CellLSTM() if options.model == "cell" else nn.LSTM(options.embedding, options.hidden, options.layers)
        self.decoder = nn.Linear(options.hidden, options.vocabulary)

    def forward(self, tokens, targets, state):
        y, state = self.rnn(self.encoder(tokens), state)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.precision == "head" or options.model == "cell"
                            or torch.is_autocast_enabled("cpu")):
            if options.fused_loss:
                loss = F.linear_cross_entropy(y.flatten(0, 1), self.decoder.weight, targets.flatten(),
                                              linear_bias=self.decoder.bias)
            else:
                loss = F.cross_entropy(self.decoder(y).flatten(0, 1), targets.flatten())
        return loss, state


model = LanguageModel()
net, flat = model, None
if options.workers == "ddp":
    net = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
elif options.workers == "mpi4py":
    flat = torch.zeros(sum(p.numel() for p in model.parameters()))
    offset = 0
    for p in model.parameters():
        p.grad = flat[offset:offset + p.numel()].view_as(p)
        offset += p.numel()
parameters = list(model.parameters())
optimizer = torch.optim.SGD(parameters, lr=1.0, fused=True)
tokens = torch.randint(options.vocabulary, (16 * options.window + 1, options.streams))
state = tuple(torch.zeros(options.layers, options.streams, options.hidden) for _ in range(2))


def step(index):
    global state
    start = index % 16 * options.window
    window, targets = tokens[start:start + options.window], tokens[start + 1:start + options.window + 1]
    if flat is None:
        optimizer.zero_grad(set_to_none=True)
    else:
        flat.zero_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.precision == "autocast"):
        loss, state = net(window, targets, state)
    state = tuple(s.detach() for s in state)
    loss.backward()
    if flat is not None:
        comm.Allreduce(MPI.IN_PLACE, flat.numpy(), MPI.SUM)
        flat.div_(world)
    nn.utils.clip_grad_norm_(parameters, 5.0)
    optimizer.step()
    return loss.item()


for index in range(3):
    begin = time.perf_counter()
    step(index)
    last = time.perf_counter() - begin
# All processes must run the same number of steps, or they would wait for one another.
count = torch.tensor([max(3, min(100, int(options.seconds / last)))])
if options.workers == "ddp":
    dist.broadcast(count, 0)
elif options.workers == "mpi4py":
    comm.Bcast(count.numpy(), 0)
times = []
for index in range(int(count)):
    begin = time.perf_counter()
    step(index)
    times.append(time.perf_counter() - begin)
median = statistics.median(times)
if rank == 0:
    print(json.dumps({
        "tokens_per_second": options.streams * world * options.window / median,
        "milliseconds_per_step": 1e3 * median,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "steps": len(times), "torch": torch.__version__,
    }), flush=True)
if options.workers == "ddp":
    dist.barrier()
    dist.destroy_process_group()
