/* The same simulation in C: how fast could the loop be with every function known at compile time?

Same random numbers as anisotropic/random.py (Philox4x32-10, the same Box-Muller), same algorithm, one fused pass over
the coordinates in each step. P replicas run side by side, innermost: P = 1 suits long vectors, P = 8 short ones. */

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

static void fill(uint64_t k0, uint64_t k1, uint64_t replica, uint64_t group, const uint32_t *restrict coordinate,
                 const uint32_t *restrict place, const double *A, long n, double *restrict z) {
    double local[11];
    memcpy(local, A, sizeof local);
    for (long i = 0; i < n; i++) {
        uint32_t c0 = coordinate[i], c1 = replica + place[i], c2 = group, c3 = 0, a = k0, b = k1;
#pragma GCC unroll 10
        for (int round = 0; round < 10; round++) {
            uint64_t p0 = (uint64_t)c0 * 0xD2511F53u, p1 = (uint64_t)c2 * 0xCD9E8D57u;
            c0 = (uint32_t)(p1 >> 32) ^ c1 ^ a, c1 = p1, c2 = (uint32_t)(p0 >> 32) ^ c3 ^ b, c3 = p0;
            a += 0x9E3779B9, b += 0xBB67AE85;
        }
        normal_pair((uint64_t)c0 << 32 | c1, local, z + i, z + n + i);
        normal_pair((uint64_t)c2 << 32 | c3, local, z + 2 * n + i, z + 3 * n + i);
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

INLINE void trajectories(const int P, const int method, int theory, int drawn, const problem *q, double *out) {
    const long d = q->d, n = d * P;
    double *block = aligned_alloc(64, ((12 * n + 8) * sizeof(double) + 63) / 64 * 64);
    double *restrict w = block, *restrict total = block + n, *restrict v = block + 2 * n, *restrict m = block + 3 * n;
    double *restrict g = block + 4 * n, *z = block + 5 * n;
    const double *restrict h = q->h, *restrict c = q->c, *restrict scale = q->scale, *restrict lo = q->lo, *restrict hi = q->hi;
    uint32_t *coordinate = (uint32_t *)(block + 9 * n), *place = (uint32_t *)(block + 10 * n);
    double norm[P], f[P], l1[P], l2[P], sums[3][P];
    for (long i = 0; i < n; i++) coordinate[i] = i / P, place[i] = i % P;
    for (long r = 0; r < q->replicas; r += P) {
        for (long i = 0; i < n; i++) w[i] = total[i] = v[i] = m[i] = 0.0;
        for (int b = 0; b < P; b++) norm[b] = sums[0][b] = sums[1][b] = sums[2][b] = 0.0;
        for (long t = 1, k = 0; k < q->records; t++) {
            const int recording = t - 1 == q->record[k];
            if (theory || recording) {
                for (int b = 0; b < P; b++) f[b] = l1[b] = l2[b] = 0.0;
                for (long j = 0; j < d; j++)
                    for (int b = 0; b < P; b++) {
                        double u = w[j * P + b] - c[j], x = h[j] * u;
                        f[b] += 0.5 * x * u;
                        l1[b] += fabs(x);
                        l2[b] += x * x;
                    }
            }
            if (recording) {
                for (int b = 0; b < P && r + b < q->replicas; b++) {
                    double *o = out + ((r + b) * q->records + k) * COLUMNS, average = 0.0;
                    for (long j = 0; j < d; j++) {
                        double u = (total[j * P + b] - w[j * P + b]) / (t - 1) - c[j];
                        average += 0.5 * h[j] * u * u;
                    }
                    o[VALUE] = f[b], o[AVERAGE_VALUE] = average, o[L2_SQUARED] = l2[b];
                    o[MEAN_VALUE] = theory ? sums[0][b] / (t - 1) : NAN;
                    o[MEAN_L1] = theory ? sums[1][b] / (t - 1) : NAN;
                    o[MEAN_L2_SQUARED] = theory ? sums[2][b] / (t - 1) : NAN;
                }
                if (++k == q->records) break;
            }
            if (theory)
                for (int b = 0; b < P; b++) sums[0][b] += f[b], sums[1][b] += l1[b], sums[2][b] += l2[b];
            if (!drawn && (t & 3) == 1) fill(q->key0, q->key1, r, (t - 1) / 4, coordinate, place, q->polynomial, n, z);
            const long place_in_four = (t - 1) & 3;
            const double *restrict normals = drawn ? q->drawn + place_in_four * q->columns + r * d : z + place_in_four * n;
            const double first = method == ADAM ? 1.0 / (1.0 - pow(0.9, t)) : 0.0;
            const double root = method == ADAM ? 1.0 / sqrt(1.0 - pow(0.999, t)) : 0.0;
            double rate[P];
            if (method == ADAGRAD_NORM) {
                double square[P];
                for (int b = 0; b < P; b++) square[b] = 0.0;
                for (long j = 0; j < d; j++)
                    for (int b = 0; b < P; b++) {
                        long i = j * P + b;
                        g[i] = h[j] * (w[i] - c[j]) + scale[j] * normals[i];
                        square[b] += g[i] * g[i];
                    }
                for (int b = 0; b < P; b++) norm[b] += square[b], rate[b] = q->step / sqrt(norm[b]);
            }
            for (long j = 0; j < d; j++)
                for (int b = 0; b < P; b++) {
                    long i = j * P + b;
                    double x = w[i], change;
                    if (method == ADAGRAD_NORM) {
                        change = rate[b] * g[i];
                    } else {
                        double y = h[j] * (x - c[j]) + scale[j] * normals[i];
                        if (method == SGD) change = q->step * y;
                        if (method == ADAGRAD) v[i] += y * y, change = q->step * y / (sqrt(v[i]) + 1e-14);
                        if (method == ADAM) {
                            m[i] = 0.9 * m[i] + 0.1 * y;
                            v[i] = 0.999 * v[i] + 0.001 * y * y;
                            change = q->step * first * m[i] / (sqrt(v[i]) * root + 1e-8);
                        }
                    }
                    x -= change;
                    x = x < hi[j] ? x : hi[j];
                    x = x > lo[j] ? x : lo[j];
                    w[i] = x;
                    total[i] += x;
                }
        }
    }
    free(block);
}

void simulate(int method, int theory, int drawn, const problem *q, double *out) {
#define CASE(P, M) if ((q->d < 64) == (P > 1) && method == M) trajectories(P, M, theory, drawn, q, out);
    CASE(1, SGD) CASE(1, ADAGRAD) CASE(1, ADAM) CASE(1, ADAGRAD_NORM)
    CASE(8, SGD) CASE(8, ADAGRAD) CASE(8, ADAM) CASE(8, ADAGRAD_NORM)
}
