"""Where do the bounds come from? Bibliography of the papers that they are stated in, or are in the spirit of."""

from __future__ import annotations

from dataclasses import dataclass

STATUSES = ("as stated", "derived here", "in the spirit of")

#: key -> (entry type, fields)
REFERENCES: dict[str, dict[str, str]] = {
    "liu2025adagrad": {
        "author": "Liu, Yuxing and Pan, Rui and Zhang, Tong",
        "title": "{AdaGrad} under Anisotropic Smoothness",
        "booktitle": "International Conference on Learning Representations",
        "year": "2025",
        "eprint": "2406.15244",
    },
    "jiang2025provable": {
        "author": "Jiang, Ruichen and Maladkar, Devyani and Mokhtari, Aryan",
        "title": "Provable Complexity Improvement of {AdaGrad} over {SGD}: Upper and Lower Bounds in Stochastic "
        "Non-Convex Optimization",
        "booktitle": "Conference on Learning Theory",
        "year": "2025",
        "eprint": "2406.04592",
    },
    "duchi2011adaptive": {
        "author": "Duchi, John and Hazan, Elad and Singer, Yoram",
        "title": "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization",
        "journal": "Journal of Machine Learning Research",
        "volume": "12",
        "year": "2011",
    },
    "ward2020adagrad": {
        "author": "Ward, Rachel and Wu, Xiaoxia and Bottou, L{\\'e}on",
        "title": "{AdaGrad} Stepsizes: Sharp Convergence over Nonconvex Landscapes",
        "journal": "Journal of Machine Learning Research",
        "volume": "21",
        "year": "2020",
        "eprint": "1806.01811",
    },
    "zamani2023exact": {
        "author": "Zamani, Moslem and Glineur, Fran{\\c{c}}ois",
        "title": "Exact convergence rate of the last iterate in subgradient methods",
        "journal": "{SIAM} Journal on Optimization",
        "volume": "35",
        "year": "2025",
        "eprint": "2307.11134",
    },
    "kalman1960new": {
        "author": "Kalman, Rudolf Emil",
        "title": "A New Approach to Linear Filtering and Prediction Problems",
        "journal": "Journal of Basic Engineering",
        "volume": "82",
        "year": "1960",
    },
    "lan2012optimal": {
        "author": "Lan, Guanghui",
        "title": "An optimal method for stochastic composite optimization",
        "journal": "Mathematical Programming",
        "volume": "133",
        "year": "2012",
    },
    "bottou2018optimization": {
        "author": "Bottou, L{\\'e}on and Curtis, Frank E. and Nocedal, Jorge",
        "title": "Optimization Methods for Large-Scale Machine Learning",
        "journal": "SIAM Review",
        "volume": "60",
        "year": "2018",
        "eprint": "1606.04838",
    },
    "karimi2016linear": {
        "author": "Karimi, Hamed and Nutini, Julie and Schmidt, Mark",
        "title": "Linear Convergence of Gradient and Proximal-Gradient Methods Under the {Polyak-\\L ojasiewicz} "
        "Condition",
        "booktitle": "European Conference on Machine Learning",
        "year": "2016",
        "eprint": "1608.04636",
    },
    "bernstein2018signsgd": {
        "author": "Bernstein, Jeremy and Wang, Yu-Xiang and Azizzadenesheli, Kamyar and Anandkumar, Animashree",
        "title": "sign{SGD}: Compressed Optimisation for Non-Convex Problems",
        "booktitle": "International Conference on Machine Learning",
        "year": "2018",
        "eprint": "1802.04434",
    },
    "liu2023high": {
        "author": "Liu, Zijian and Nguyen, Ta Duy and Nguyen, Thien Hang and Ene, Alina and Nguyen, Huy",
        "title": "High Probability Convergence of Stochastic Gradient Methods",
        "booktitle": "International Conference on Machine Learning",
        "year": "2023",
        "eprint": "2302.14843",
    },
    "liu2023convergence": {
        "author": "Liu, Zijian and Nguyen, Ta Duy and Ene, Alina and Nguyen, Huy",
        "title": "On the Convergence of {AdaGrad(Norm)} on {$\\mathbb{R}^d$}: Beyond Convexity, Non-Asymptotic Rate "
        "and Acceleration",
        "booktitle": "International Conference on Learning Representations",
        "year": "2023",
        "eprint": "2209.14827",
    },
    "defossez2022simple": {
        "author": "D{\\'e}fossez, Alexandre and Bottou, L{\\'e}on and Bach, Francis and Usunier, Nicolas",
        "title": "A Simple Convergence Proof of {Adam} and {Adagrad}",
        "journal": "Transactions on Machine Learning Research",
        "year": "2022",
        "eprint": "2003.02395",
    },
    "lau2024adadagrad": {
        "author": "Lau, Tim Tsz-Kit and Liu, Han and Kolar, Mladen",
        "title": "{AdAdaGrad}: Adaptive Batch Size Schemes for Adaptive Gradient Methods",
        "year": "2024",
        "eprint": "2402.11215",
    },
    "crawshaw2025complexity": {
        "author": "Crawshaw, Michael and Liu, Mingrui",
        "title": "Complexity Lower Bounds of Adaptive Gradient Algorithms for Non-convex Stochastic Optimization under "
        "Relaxed Smoothness",
        "booktitle": "International Conference on Learning Representations",
        "year": "2025",
        "eprint": "2505.04599",
    },
    "drori2014performance": {
        "author": "Drori, Yoel and Teboulle, Marc",
        "title": "Performance of first-order methods for smooth convex minimization: a novel approach",
        "journal": "Mathematical Programming",
        "volume": "145",
        "year": "2014",
        "eprint": "1206.3209",
    },
    "nesterov2018lectures": {
        "author": "Nesterov, Yurii",
        "title": "Lectures on Convex Optimization",
        "publisher": "Springer",
        "edition": "2",
        "year": "2018",
    },
    "deklerk2020worst": {
        "author": "de Klerk, Etienne and Glineur, Fran{\\c{c}}ois and Taylor, Adrien B.",
        "title": "Worst-Case Convergence Analysis of Inexact Gradient and {Newton} Methods Through Semidefinite "
        "Programming Performance Estimation",
        "journal": "SIAM Journal on Optimization",
        "volume": "30",
        "year": "2020",
        "eprint": "1709.05191",
    },
    "ghadimi2015global": {
        "author": "Ghadimi, Euhanna and Feyzmahdavian, Hamid Reza and Johansson, Mikael",
        "title": "Global convergence of the Heavy-ball method for convex optimization",
        "booktitle": "European Control Conference",
        "year": "2015",
        "eprint": "1412.7457",
    },
    "abbaszadehpeivasti2023conditions": {
        "author": "Abbaszadehpeivasti, Hadi and de Klerk, Etienne and Zamani, Moslem",
        "title": "Conditions for linear convergence of the gradient method for non-convex optimization",
        "journal": "Optimization Letters",
        "year": "2023",
        "eprint": "2204.00647",
    },
}


@dataclass(frozen=True)
class Source:
    """Who a bound is owed to: BibTeX key, arXiv number, place in the paper, and how it relates to it.

    `status` is "as stated" (the paper's own constants), "derived here" (proof and constants are ours; `place` says
    what the paper contributed), or "in the spirit of" (the paper's idea, our constants).
    """

    key: str
    arxiv: str = ""
    place: str = ""
    status: str = "derived here"

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"source status = {self.status!r}; expected one of {', '.join(map(repr, STATUSES))}")

    def __str__(self) -> str:
        arxiv, place = f", arXiv {self.arxiv}" * bool(self.arxiv), f" ({self.place})" * bool(self.place)
        return f"{self.status}: {self.key}{arxiv}{place}"

    def bibtex(self) -> str:
        """A BibTeX entry; for a key outside the library's bibliography, one made from the arXiv number."""
        fields = REFERENCES.get(self.key)
        if fields is None:
            fields = {"eprint": self.arxiv} if self.arxiv else {}
            fields |= {"note": self.place} if self.place else {}
        telling = {"journal": "article", "booktitle": "inproceedings", "publisher": "book"}
        kind = next((kind for field, kind in telling.items() if field in fields), "misc")
        archive = {"archivePrefix": "arXiv"} if fields.get("eprint") else {}
        lines = [f"  {name} = {{{value}}}," for name, value in (fields | archive).items()]
        return "\n".join([f"@{kind}{{{self.key},", *lines, "}"])
