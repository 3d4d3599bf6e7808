"""How do rules for the learning rate of Adam do on Poisson's equation, solved by the deep Ritz method?"""

import copy
import threading

import numpy as np

import anisotropic as an

LOCK = threading.Lock()  # cells run in threads, and PyTorch draws initial weights from one generator


def poisson(rate, steps, seed):
    """L2 error of u along the run. The loss is the mean of |grad u|^2/2 - f u, plus 100 u^2 on the boundary."""
    torch = an.extras.require("torch", "torch")
    torch.set_num_threads(1)
    draw, nn = torch.Generator().manual_seed(seed % 2**31), torch.nn
    with LOCK:
        torch.manual_seed(seed % 2**31)
        net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)

    def exact(x):
        return torch.prod(torch.sin(torch.pi * x), dim=1, keepdim=True)

    def loss(n=256):
        x = torch.rand(n, 2, generator=draw).requires_grad_()
        edge = torch.rand(n, 2, generator=draw)
        side, end = torch.randint(0, 2, (2, n), generator=draw)
        edge[torch.arange(n), side] = end.float()
        u = net(x)
        (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        inside = 0.5 * slope.square().sum(dim=1, keepdim=True) - 2 * torch.pi**2 * exact(x).detach() * u
        return inside.mean() + 100 * net(edge).square().mean()

    def train(number):
        found = []
        for _ in range(number):
            optimizer.zero_grad()
            value = loss()
            value.backward()
            optimizer.step()
            found.append(value.item())
        return found

    def set_rate(value):
        optimizer.param_groups[0]["lr"] = value

    def searched(rate_now):
        """The source's search: each candidate from the same state, judged on fresh points, then undone."""
        start, scores = copy.deepcopy((net.state_dict(), optimizer.state_dict())), []
        for candidate in rate_now * 4.0 ** np.arange(-1.0, 2.0):
            net.load_state_dict(start[0]), optimizer.load_state_dict(start[1])
            set_rate(float(candidate))
            train(10)
            scores.append((loss(2048).item(), float(candidate)))
        net.load_state_dict(start[0]), optimizer.load_state_dict(start[1])
        return min(scores)[1]

    points = torch.rand(4096, 2, generator=draw)
    done, taken, errors, current, before = 0, [], [], 3e-3, np.inf
    while done < steps:
        if rate == "search":
            current, done = searched(current), done + 30
            set_rate(current)
        mean = float(np.mean(train(100)))
        done += 100
        if rate == "halve on plateau" and mean >= before:
            current /= 2
            set_rate(current)
        before = mean
        with torch.no_grad():
            errors.append(float((net(points) - exact(points)).square().mean().sqrt()))
        taken.append(done)
    return {"steps": np.array(taken), "error": np.array(errors), "rate": current}
