/* The same simulation in C: how fast could the loop be with every function known at compile time?

Same random numbers as compiled/random.py (Philox4x32-10, the same Box-Muller), same algorithm. P replicas run side by
side, innermost: 32 for short vectors, 1 for long ones. A block of lanes takes SPAN steps before the next one, each step
one fused pass, so that its state stays in the nearest cache; AdaGrad-Norm couples all coordinates and takes one step,
in two passes. Sums over coordinates run in eight lanes, which needs no licence to reassociate. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum method { SGD, ADAGRAD, ADAM, ADAGRAD_NORM };
enum { VALUE, MEAN_VALUE, AVERAGE_VALUE, MEAN_L1, MEAN_L2_SQUARED, L2_SQUARED, COLUMNS };
#define INLINE static inline __attribute__((always_inline))

static inline uint64_t bits(double x) { uint64_t b; memcpy(&b, &x, 8); return b; }
static inline double real(uint64_t b) { double x; memcpy(&x, &b, 8); return x; }

INLINE void normal_pair(uint64_t r, const double *A, double *first, double *second) {
    const uint64_t one = 0x3FFULL << 52, integer = 0x433ULL << 52, sign = 1ULL << 63;
    uint64_t b = bits(real(((r >> 26) << 14) | one) - (1.0 - 0x1p-39));
    uint64_t e = (b - ((0x3FE8ULL << 48) - (64ULL << 52))) >> 52;
    double t = real(b - (e << 52) + (64ULL << 52)) - 1.0, exponent = real(e | integer) - (0x1p52 + 64.0);
    double t2 = t * t, t4 = t2 * t2;
    double low = (A[0] + A[1] * t) + t2 * (A[2] + A[3] * t);
    double high = ((A[4] + A[5] * t) + t2 * (A[6] + A[7] * t)) + t4 * ((A[8] + A[9] * t) + t2 * A[10]);
    double radius = sqrt(-(exponent * 0.6931471805599453 + (low + t4 * high) * t));
    double phi = (real((r & 0xFFFFFF) | integer) - (0x1p52 + 0x1p23)) * (0.7853981633974483 * 0x1p-23), q = phi * phi;
    double c = 1.0 + q * (-1.0 / 2 + q * (1.0 / 24 + q * (-1.0 / 720 + q * (1.0 / 40320))));
    double s = phi * (1.0 + q * (-1.0 / 6 + q * (1.0 / 120 + q * (-1.0 / 5040 + q * (1.0 / 362880)))));
    *first = real(bits((c - s) * radius) ^ ((r << 38) & sign));
    *second = real(bits((c + s) * radius) ^ ((r << 39) & sign));
}

/* Bits first, then normals: one loop for both runs out of vector registers. */
static void fill(uint64_t k0, uint64_t k1, uint64_t replica, uint64_t group, const uint32_t *restrict coordinate,
                 const uint32_t *restrict place, const double *A, long n, double *restrict z) {
    double local[11];
    uint64_t *restrict words = (uint64_t *)z;
    memcpy(local, A, sizeof local);
    for (long i = 0; i < n; i++) {
        uint32_t c0 = coordinate[i], c1 = replica + place[i], c2 = group, c3 = 0, a = k0, b = k1;
#pragma GCC unroll 10
        for (int round = 0; round < 10; round++) {
            uint64_t p0 = (uint64_t)c0 * 0xD2511F53u, p1 = (uint64_t)c2 * 0xCD9E8D57u;
            c0 = (uint32_t)(p1 >> 32) ^ c1 ^ a, c1 = p1, c2 = (uint32_t)(p0 >> 32) ^ c3 ^ b, c3 = p0;
            a += 0x9E3779B9, b += 0xBB67AE85;
        }
        words[i] = (uint64_t)c0 << 32 | c1, words[2 * n + i] = (uint64_t)c2 << 32 | c3;
    }
    for (int half = 0; half < 2; half++) {
        double *restrict first = z + 2 * half * n, *restrict second = first + n;
        for (long i = 0; i < n; i++) normal_pair(bits(first[i]), local, first + i, second + i);
    }
}

typedef struct {
    long d, replicas, records, columns;
    const long *record;                                  /* numbers of updates, increasing */
    const double *h, *c, *scale, *lo, *hi, *polynomial;  /* (d,) each, but the last */
    const double *drawn;                                 /* (4, columns): normals drawn beforehand, replicas as below */
    double step;
    uint64_t key0, key1;
} problem;

enum { WIDTH = 256, SPAN = 32, EIGHT = 8 };

/* Value, l1 and squared l2 norm of the gradient, summed over coordinates into one entry for each of P replicas; with
   `average` the value alone, at the mean of the iterates before w. */
INLINE void observe(const int P, const int average, long n, const double *restrict w, const double *restrict total,
                    double count, const double *restrict h, const double *restrict c, double *restrict out) {
    const int K = P > 1 ? P : EIGHT;
    double f[K], l1[K], l2[K];
    for (int b = 0; b < K; b++) f[b] = l1[b] = l2[b] = 0.0;
    long i = 0;
    for (; i + K <= n; i += K)
        for (int b = 0; b < K; b++) {
            double x = average ? (total[i + b] - w[i + b]) / count : w[i + b], u = x - c[i + b], y = h[i + b] * u;
            f[b] += 0.5 * y * u, l1[b] += fabs(y), l2[b] += y * y;
        }
    for (; i < n; i++) {
        double x = average ? (total[i] - w[i]) / count : w[i], u = x - c[i], y = h[i] * u;
        f[0] += 0.5 * y * u, l1[0] += fabs(y), l2[0] += y * y;
    }
    for (int b = 0; b < K; b++) {
        out[P > 1 ? b : 0] += f[b];
        if (!average) out[P > 1 ? P + b : 1] += l1[b], out[P > 1 ? 2 * P + b : 2] += l2[b];
    }
}

INLINE void advance(const int P, const int method, long n, double step, long t, const double *restrict rate,
                    const double *restrict normals, const double *restrict h, const double *restrict c,
                    const double *restrict scale, const double *restrict lo, const double *restrict hi,
                    double *restrict w, double *restrict total, double *restrict v, double *restrict m,
                    double *restrict g) {
    const double first = method == ADAM ? 1.0 / (1.0 - pow(0.9, t)) : 0.0;
    const double root = method == ADAM ? 1.0 / sqrt(1.0 - pow(0.999, t)) : 0.0;
    for (long j = 0; j < n; j += P)
        for (int b = 0; b < P; b++) {
            long i = j + b;
            double x = w[i], change;
            if (method == ADAGRAD_NORM) {
                change = rate[b] * g[i];
            } else {
                double y = h[i] * (x - c[i]) + scale[i] * normals[i];
                if (method == SGD) change = step * y;
                if (method == ADAGRAD) v[i] += y * y, change = step * y / (sqrt(v[i]) + 1e-14);
                if (method == ADAM) {
                    m[i] = 0.9 * m[i] + 0.1 * y;
                    v[i] = 0.999 * v[i] + 0.001 * y * y;
                    change = step * first * m[i] / (sqrt(v[i]) * root + 1e-8);
                }
            }
            x -= change;
            x = x < hi[i] ? x : hi[i];
            x = x > lo[i] ? x : lo[i];
            w[i] = x;
            total[i] += x;
        }
}

/* The noisy gradient, and its squared norm for each replica. */
INLINE void noisy(const int P, long n, const double *restrict normals, const double *restrict h,
                  const double *restrict c, const double *restrict scale, const double *restrict w,
                  double *restrict g, double *restrict square) {
    const int K = P > 1 ? P : EIGHT;
    double sum[K];
    for (int b = 0; b < K; b++) sum[b] = 0.0;
    long i = 0;
    for (; i + K <= n; i += K)
        for (int b = 0; b < K; b++) {
            g[i + b] = h[i + b] * (w[i + b] - c[i + b]) + scale[i + b] * normals[i + b];
            sum[b] += g[i + b] * g[i + b];
        }
    for (; i < n; i++) g[i] = h[i] * (w[i] - c[i]) + scale[i] * normals[i], sum[0] += g[i] * g[i];
    for (int b = 0; b < K; b++) square[P > 1 ? b : 0] += sum[b];
}

INLINE void trajectories(const int P, const int method, int theory, int drawn, const problem *q, double *out) {
    const int coupled = method == ADAGRAD_NORM;
    const long d = q->d, n = d * P, steps = q->record[q->records - 1];
    const long width = P > 1 || (coupled && n <= 4096) ? n : (coupled ? 1024 : WIDTH);
    const long span = coupled && n > width ? 1 : SPAN, held = coupled ? n : width;
    double *block = aligned_alloc(64, ((10 * n + 5 * held + SPAN * 4 * P + 64) * sizeof(double) + 63) / 64 * 64);
    double *w = block, *total = w + n, *v = total + n, *m = v + n;
    double *h = m + n, *c = h + n, *scale = c + n, *lo = scale + n, *hi = lo + n; /* repeated for every replica */
    uint32_t *coordinate = (uint32_t *)(hi + n), *place = coordinate + n;
    double *g = hi + 2 * n, *z = g + held, *now = z + 4 * held;
    double norm[P], square[P], rate[P], sums[3][P];
    for (long i = 0; i < n; i++) {
        long j = i / P;
        coordinate[i] = j, place[i] = i % P;
        h[i] = q->h[j], c[i] = q->c[j], scale[i] = q->scale[j], lo[i] = q->lo[j], hi[i] = q->hi[j];
    }
    for (long r = 0; r < q->replicas; r += P) {
        for (long i = 0; i < 4 * n; i++) block[i] = 0.0;
        for (int b = 0; b < P; b++) norm[b] = sums[0][b] = sums[1][b] = sums[2][b] = 0.0;
        for (long start = 1, k = 0; k < q->records; start += span) {
            const long count = start + span <= steps + 2 ? span : steps + 2 - start;
            for (long i = 0; i < count * 4 * P; i++) now[i] = 0.0;
            for (long low = 0; low < n; low += width) {
                const long size = low + width <= n ? width : n - low, at = coupled ? low : 0;
                for (long s = 0, here = k; s < count; s++) {
                    const long t = start + s;
                    double *seen = now + s * 4 * P;
                    const int recording = t - 1 == q->record[here];
                    if (theory || recording) observe(P, 0, size, w + low, total + low, 0.0, h + low, c + low, seen);
                    if (recording) {
                        observe(P, 1, size, w + low, total + low, t - 1, h + low, c + low, seen + 3 * P);
                        if (++here == q->records) break;
                    }
                    if (!drawn && (t & 3) == 1)
                        fill(q->key0, q->key1, r, (t - 1) / 4, coordinate + low, place + low, q->polynomial, size, z + 4 * at);
                    const long turn = (t - 1) & 3;
                    const double *normals = drawn ? q->drawn + turn * q->columns + r * d + low : z + 4 * at + turn * size;
                    if (!coupled) {
                        advance(P, method, size, q->step, t, rate, normals, h + low, c + low, scale + low, lo + low,
                                hi + low, w + low, total + low, v + low, m + low, g);
                        continue;
                    }
                    if (low == 0) for (int b = 0; b < P; b++) square[b] = 0.0;
                    noisy(P, size, normals, h + low, c + low, scale + low, w + low, g + at, square);
                    if (low + size < n) continue;
                    for (int b = 0; b < P; b++) norm[b] += square[b], rate[b] = q->step / sqrt(norm[b]);
                    advance(P, method, n, q->step, t, rate, normals, h, c, scale, lo, hi, w, total, v, m, g);
                }
            }
            for (long s = 0; s < count; s++) {
                const double *seen = now + s * 4 * P, t = start + s;
                if (t - 1 == q->record[k]) {
                    for (int b = 0; b < P && r + b < q->replicas; b++) {
                        double *o = out + ((r + b) * q->records + k) * COLUMNS;
                        o[VALUE] = seen[b], o[AVERAGE_VALUE] = seen[3 * P + b], o[L2_SQUARED] = seen[2 * P + b];
                        o[MEAN_VALUE] = theory ? sums[0][b] / (t - 1) : NAN;
                        o[MEAN_L1] = theory ? sums[1][b] / (t - 1) : NAN;
                        o[MEAN_L2_SQUARED] = theory ? sums[2][b] / (t - 1) : NAN;
                    }
                    if (++k == q->records) break;
                }
                for (int i = 0; i < 3; i++) for (int b = 0; b < P; b++) sums[i][b] += seen[i * P + b];
            }
        }
    }
    free(block);
}

void simulate(int method, int theory, int drawn, const problem *q, double *out) {
#define CASE(P, M) if ((q->d < 64) == (P > 1) && method == M) trajectories(P, M, theory, drawn, q, out);
    CASE(1, SGD) CASE(1, ADAGRAD) CASE(1, ADAM) CASE(1, ADAGRAD_NORM)
    CASE(32, SGD) CASE(32, ADAGRAD) CASE(32, ADAM) CASE(32, ADAGRAD_NORM)
}
