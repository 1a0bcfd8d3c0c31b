"""Prints the numbers that tests/reference/mod.rs expects of the crate's statistics.

    pip install scipy==1.17.1 statsmodels==0.15.0 && python3 tests/reference/statistics.py
"""

import itertools
import math

import numpy
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.multitest import multipletests

# Numbers with few binary digits: equal differences are equal to the last bit.
DISTINCT = [0.75, -0.5, 1.25, 2.0, -0.25, 1.5, 3.0, 0.625, 2.5, -1.0]
TIED = [0.5, 0.5, -0.5, 1.0, 1.0, 2.0, -1.0, 2.0, 0.25, 3.0, 3.0, -0.25]
ZEROS = [0.0, 0.5, 1.0, 0.0, 1.5, -0.5, 2.0, 2.5, 0.0, 3.0]
LONG = [((i * 37) % 101 - 35.25) / 8 for i in range(40)]
MEDIANS = {n: [float((i * 7) % n) ** 2 + 1 for i in range(n)] for n in (5, 6, 8, 10, 15, 20, 40)}
RAW_P = [0.01, 0.04, 0.03, 0.005, 0.5, 0.04]
A = [1.31, 1.52, 1.18, 1.40, 1.77, 1.29, 1.63, 1.36]
B = [1.22, 1.41, 1.15, 1.28, 1.80, 1.17, 1.49, 1.25]


def exact_p(values):
    """Every assignment of signs: zeros dropped, mean ranks for ties."""
    values = [v for v in values if v != 0]
    ranks = stats.rankdata([abs(v) for v in values])
    positive = sum(r for r, v in zip(ranks, values) if v > 0)
    observed = min(positive, sum(ranks) - positive)
    sums = [sum(r for r, s in zip(ranks, signs) if s) for signs in itertools.product((0, 1), repeat=len(ranks))]
    return sum(min(s, sum(ranks) - s) <= observed for s in sums) / len(sums)


def signed_rank_interval(values):
    """Walsh averages between the quantiles of the null distribution, from scipy's exact p-values of no ties."""
    n = len(values)
    walsh = numpy.sort([(values[i] + values[j]) / 2 for i in range(n) for j in range(i, n)])
    ranks = numpy.arange(1, n + 1)
    outside = 0
    for sum_of_ranks in range(n * (n + 1) // 4):
        signs, left = numpy.full(n, -1), sum_of_ranks
        for rank in ranks[::-1]:
            if rank <= left:
                signs[rank - 1], left = 1, left - rank
        if stats.wilcoxon(ranks * signs, method="exact").pvalue > 0.05:
            break
        outside = sum_of_ranks
    return numpy.median(walsh), walsh[outside], walsh[-1 - outside]


print("scipy", scipy.__version__, "statsmodels", statsmodels.__version__)
for name, values in ("DISTINCT", DISTINCT), ("LONG", LONG):
    print(name, "wilcoxon exact p", repr(float(stats.wilcoxon(values, method="exact").pvalue)))
for name, values in ("TIED", TIED), ("ZEROS", ZEROS):
    permuted = stats.wilcoxon([v for v in values if v != 0], method=stats.PermutationMethod(n_resamples=10**6))
    print(name, "all signs p", repr(float(exact_p(values))), "wilcoxon PermutationMethod p", repr(float(permuted.pvalue)))
for name, values in ("DISTINCT", DISTINCT), ("LONG", LONG):
    print(name, "Hodges-Lehmann", *map(float, signed_rank_interval(values)))
print("A/B", *(math.exp(x) for x in signed_rank_interval([math.log(a) - math.log(b) for a, b in zip(A, B)])))
print("Holm", [float(p) for p in multipletests(RAW_P, method="holm")[1]])
for n, values in MEDIANS.items():
    if n == 5:  # Below what the method needs: the range, and how often it covers.
        print("median of 5", numpy.median(values), min(values), max(values), 1 - 2 * stats.binom.cdf(0, 5, 0.5))
    else:
        print("median of", n, numpy.median(values), *map(float, stats.mstats.median_cihs(values, alpha=0.05)))
