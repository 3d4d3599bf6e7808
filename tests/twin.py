"""A slow, obvious twin of the simulator: NumPy arrays, one step at a time, no Numba, written from the definitions."""

import numpy as np

MASK = np.uint64(0xFFFFFFFF)


def philox(counter, key):
    """Philox4x32-10 on arrays of 32-bit words, from the published round function."""
    c = [np.asarray(v, dtype=np.uint64) for v in counter]
    k = [int(v) for v in key]
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [
            (b >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0]), b & MASK,
            (a >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1]), a & MASK,
        ]  # fmt: skip
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def box_muller(high, low):
    """Two normals from a 64-bit word given as two 32-bit halves, with the C library's log, sine and cosine."""
    word = (high << np.uint64(32)) | low
    uniform = (word >> np.uint64(26)).astype(float) * 2.0**-38 + 2.0**-39
    phase = (word & np.uint64(2**24 - 1)).astype(float) - 2.0**23
    angle = phase * (np.pi / 4 * 2.0**-23)
    radius = np.sqrt(-np.log(uniform))
    first, second = (np.cos(angle) - np.sin(angle)) * radius, (np.cos(angle) + np.sin(angle)) * radius
    sign = [1.0 - 2.0 * ((word >> np.uint64(bit)) & np.uint64(1)).astype(float) for bit in (25, 24)]
    return first * sign[0], second * sign[1]


def normals(seed, replicas, step_size, dim):
    """Standard normals of one step (1, 2, ...), shape (replicas, dim)."""
    replica, coordinate = np.meshgrid(np.arange(replicas), np.arange(dim), indexing="ij")
    group, place = divmod(step_size - 1, 4)
    zero = np.zeros_like(replica)
    w = philox((coordinate, replica, zero + group, zero), (seed % 2**32, seed >> 32))
    pairs = (*box_muller(w[0], w[1]), *box_muller(w[2], w[3]))
    return pairs[place]


class SGD:
    def __init__(self, step_size):
        self.step_size = step_size

    def __call__(self, w, g):
        return w - self.step_size * g


class AdaGrad:
    """Accumulator v_0, eps inside and outside the root; 0/0 is 0."""

    def __init__(self, step_size, start=0.0, inside=0.0, outside=0.0, norm=False):
        self.step_size, self.v, self.inside, self.outside, self.norm = step_size, start, inside, outside, norm

    def __call__(self, w, g):
        square = (g * g).sum(axis=1, keepdims=True) if self.norm else g * g
        self.v = self.v + square
        root = np.sqrt(self.v + self.inside) + self.outside
        return w - self.step_size * np.divide(g, root, out=np.zeros_like(g), where=root != 0)


def simulate(value, gradient, update, *, sigma, start, steps, batch_size, replicas, seed, box=None, minimum=0.0):
    """Every statistic after every step, arrays (replicas, steps); value and gradient act on (replicas, d)."""
    start = np.atleast_1d(np.asarray(start, float))
    w = np.tile(start, (replicas, 1))
    points, values, gradients, out = [], [], [], {}
    for t in range(1, steps + 1):
        g = gradient(w)
        points.append(w)
        values.append(value(w) - minimum)
        gradients.append(g)
        noisy = g + sigma / np.sqrt(batch_size) * normals(seed, replicas, t, start.size)
        w = update(w, noisy)
        if box is not None:
            w = np.clip(w, *box)
        now = gradient(w)
        l2_squared = np.mean([(x * x).sum(axis=1) for x in gradients], axis=0)
        record = {
            "gap": value(w) - minimum,
            "mean_gap": np.mean(values, axis=0),
            "average_gap": value(np.mean(points, axis=0)) - minimum,
            "gradient_l1": np.mean([np.abs(x).sum(axis=1) for x in gradients], axis=0),
            "gradient_l2": np.mean([np.linalg.norm(x, axis=1) for x in gradients], axis=0),
            "gradient_l2_squared": l2_squared,
            "last_gradient_l2_squared": (now * now).sum(axis=1),
            "samples": np.full(replicas, float(t * batch_size)),
        }
        for name, column in record.items():
            out.setdefault(name, []).append(column)
    return {name: np.stack(columns, axis=1) for name, columns in out.items()}
