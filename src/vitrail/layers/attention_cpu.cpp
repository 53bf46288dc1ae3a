// Attention of short sequences on CPUs with AVX512-BF16, forward and backward, one head of one sequence at a time.
//
// Scores never leave the core's cache, and queries, keys and values are read where the linear layer before left them,
// so nothing is laid out anew: between `qkv` (B, N, 3, K, E) and the result (B, N, K, E) nothing goes through memory.
// The backward pass computes the weights again from the largest score and the sum of each query, as FlashAttention does
// (Dao et al. 2022, algorithm 4). Scores are held transposed, keys by queries, with queries along the lanes of a
// register: what is taken over the keys of a query is then taken lane by lane, and nothing within a register.
//
// All seven products are one micro-kernel, C[r][lane] += sum over pairs of A[r][pair] * B[pair][lane], for `dpbf16`
// multiplies pairs of bf16 and adds both to an fp32 lane. "Paired" below means that layout: [pair][lane][2] of bf16,
// written as 32-bit words. Sequences are counted in N tokens, `lanes` is N rounded up to whole registers.

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>

namespace {

constexpr int WORDS = 16;    // 32-bit words, or fp32 lanes, in a register
constexpr int ROWS = 6;      // of a tile: 6 x 4 sums, 4 operands and a broadcast fill the 32 registers
constexpr int COLUMNS = 4;   // registers of a tile
constexpr int LINE = 32;     // bf16 in a line of the cache
constexpr int QUERIES = 64;  // queries whose weights are computed at a time
constexpr int KEYS = 64;     // keys whose gradients are computed at a time
constexpr float LOG2_E = 1.44269504088896340736f;

using Word = uint32_t;  // two bf16
using Half = uint16_t;  // one bf16

constexpr int WIDEST = 128;  // of the heads that are served
alignas(64) constexpr Half PADDING[WIDEST] = {};

// One head of the tokens of a sequence, rows a `stride` apart: as they come, or those that an index names, among which
// a negative one is padding, zero.
struct Rows {
    const Half* first;
    int64_t stride;
    const int32_t* index;

    const Half* operator[](int row) const {
        if (!index) return first + row * stride;
        return index[row] < 0 ? PADDING : first + index[row] * stride;
    }
};

// The same, to be written.
struct Places {
    Half* first;
    int64_t stride;
    const int32_t* index;

    Half* operator[](int row) const {  // null for padding
        if (!index) return first + row * stride;
        return index[row] < 0 ? nullptr : first + index[row] * stride;
    }
};

int rounded_up(int count, int unit) { return (count + unit - 1) / unit * unit; }
__mmask16 first_lanes(int count) { return count >= WORDS ? 0xFFFF : (__mmask16)((1u << std::max(count, 0)) - 1); }
const Word* words(const Half* at) { return reinterpret_cast<const Word*>(at); }

__m512 widened(__m256i halves) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16)); }
__m256i narrowed(__m512 lanes) { return (__m256i)_mm512_cvtneps_pbh(lanes); }

// 2^x to 2e-6 relative: the power of the whole part, times a polynomial (minimax on [-0.5, 0.5]) of the rest.
inline __m512 power_of_two(__m512 x) {
    // Minus infinity has no rest; the greater of a number and NaN is the second, so that NaN stays.
    x = _mm512_max_ps(_mm512_set1_ps(-200.0f), x);
    const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 rest = _mm512_sub_ps(x, whole);
    __m512 sum = _mm512_set1_ps(1.3397480e-3f);
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(9.6184373e-3f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(5.5503324e-2f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(2.4022648e-1f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(6.9314718e-1f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(sum, whole);
}

// One tile of a product: R rows times W registers.
template <int R, int W, bool ADD>
inline void tile(const Word* a, int64_t a_row, int64_t a_pair, const Word* b, int64_t b_pair, int pairs, float* c,
                 int64_t c_row) {
    __m512 sums[R][W];
    for (int r = 0; r < R; ++r)
        for (int w = 0; w < W; ++w)
            sums[r][w] = ADD ? _mm512_loadu_ps(c + r * c_row + w * WORDS) : _mm512_setzero_ps();
    for (int pair = 0; pair < pairs; ++pair) {
        __m512i operand[W];
        for (int w = 0; w < W; ++w) operand[w] = _mm512_loadu_si512(b + pair * b_pair + w * WORDS);
        for (int r = 0; r < R; ++r) {
            Word both;
            std::memcpy(&both, a + r * a_row + pair * a_pair, sizeof both);
            const __m512bh seen = (__m512bh)_mm512_set1_epi32((int)both);
            for (int w = 0; w < W; ++w) sums[r][w] = _mm512_dpbf16_ps(sums[r][w], seen, (__m512bh)operand[w]);
        }
    }
    for (int r = 0; r < R; ++r)
        for (int w = 0; w < W; ++w) _mm512_storeu_ps(c + r * c_row + w * WORDS, sums[r][w]);
}

template <int W, bool ADD, int R = ROWS>
inline void rows_of_tiles(int rows, const Word* a, int64_t a_row, int64_t a_pair, const Word* b, int64_t b_pair,
                          int pairs, float* c, int64_t c_row) {
    if (rows == R) return tile<R, W, ADD>(a, a_row, a_pair, b, b_pair, pairs, c, c_row);
    if constexpr (R > 1) rows_of_tiles<W, ADD, R - 1>(rows, a, a_row, a_pair, b, b_pair, pairs, c, c_row);
}

// C (rows, 16 * registers) = or += A B; rows and registers are split evenly, as thin tiles wait for their own sums.
template <bool ADD>
void product(int rows, int registers, const Word* a, int64_t a_row, int64_t a_pair, const Word* b, int64_t b_pair,
             int pairs, float* c, int64_t c_row) {
    const int across = (registers + COLUMNS - 1) / COLUMNS, down = (rows + ROWS - 1) / ROWS;
    for (int x = 0; x < across; ++x) {
        const int left = registers * x / across, width = registers * (x + 1) / across - left;
        const Word* columns = b + left * WORDS;
        float* result = c + left * WORDS;
        for (int y = 0; y < down; ++y) {
            const int top = rows * y / down, height = rows * (y + 1) / down - top;
            const Word* from = a + top * a_row;
            float* to = result + top * c_row;
            switch (width) {
                case 1: rows_of_tiles<1, ADD>(height, from, a_row, a_pair, columns, b_pair, pairs, to, c_row); break;
                case 2: rows_of_tiles<2, ADD>(height, from, a_row, a_pair, columns, b_pair, pairs, to, c_row); break;
                case 3: rows_of_tiles<3, ADD>(height, from, a_row, a_pair, columns, b_pair, pairs, to, c_row); break;
                default: rows_of_tiles<4, ADD>(height, from, a_row, a_pair, columns, b_pair, pairs, to, c_row);
            }
        }
    }
}

// 16 x 16 words, transposed: two rounds within quarters of a register, two across them.
inline void transpose(const __m512i (&in)[WORDS], Word* out, int64_t out_row) {
    __m512i t[WORDS], u[WORDS];
    for (int i = 0; i < 8; ++i) {
        t[2 * i] = _mm512_unpacklo_epi32(in[2 * i], in[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(in[2 * i], in[2 * i + 1]);
    }
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 2; ++j) {
            u[4 * i + 2 * j] = _mm512_unpacklo_epi64(t[4 * i + j], t[4 * i + 2 + j]);
            u[4 * i + 2 * j + 1] = _mm512_unpackhi_epi64(t[4 * i + j], t[4 * i + 2 + j]);
        }
    for (int j = 0; j < 4; ++j) {  // u[4 i + j] holds columns j, j + 4, j + 8, j + 12 of rows 4 i to 4 i + 3
        const __m512i ab = _mm512_shuffle_i32x4(u[j], u[4 + j], 0x88);
        const __m512i cd = _mm512_shuffle_i32x4(u[8 + j], u[12 + j], 0x88);
        const __m512i ef = _mm512_shuffle_i32x4(u[j], u[4 + j], 0xDD);
        const __m512i gh = _mm512_shuffle_i32x4(u[8 + j], u[12 + j], 0xDD);
        _mm512_storeu_si512(out + j * out_row, _mm512_shuffle_i32x4(ab, cd, 0x88));
        _mm512_storeu_si512(out + (j + 8) * out_row, _mm512_shuffle_i32x4(ab, cd, 0xDD));
        _mm512_storeu_si512(out + (j + 4) * out_row, _mm512_shuffle_i32x4(ef, gh, 0x88));
        _mm512_storeu_si512(out + (j + 12) * out_row, _mm512_shuffle_i32x4(ef, gh, 0xDD));
    }
}

// Tokens (N, E) paired along E with tokens along the lanes: (E / 2, lanes), zero beyond N.
void pair_across(const Rows& tokens, int count, int head, Word* out, int lanes) {
    for (int token = 0; token < lanes; token += WORDS)
        for (int e = 0; e < head / 2; e += WORDS) {
            __m512i block[WORDS];
            const __mmask16 there = first_lanes(head / 2 - e);
            for (int i = 0; i < WORDS; ++i)
                block[i] = token + i < count
                               ? _mm512_maskz_loadu_epi32(there, words(tokens[token + i]) + e)
                               : _mm512_setzero_si512();
            if (there == 0xFFFF) {
                transpose(block, out + e * lanes + token, lanes);
            } else {  // a head of 16 or 48, say: its last half block would write beyond the end
                Word whole[WORDS * WORDS];
                transpose(block, whole, WORDS);
                for (int row = 0; row < head / 2 - e; ++row)
                    std::memcpy(out + (e + row) * lanes + token, whole + row * WORDS, sizeof(Word) * WORDS);
            }
        }
}

// Two rows of 16 bf16 as 16 pairs.
inline __m512i zipped(__m256i even, __m256i odd) {
    return _mm512_or_si512(_mm512_cvtepu16_epi32(even), _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
}

__m256i halves(const Half* at) { return _mm256_loadu_si256((const __m256i*)at); }

// Rows (N, width) paired along N with the width along the lanes: (N / 2 rounded up, width).
void pair_down(const Rows& rows, int count, int width, Word* out) {
    for (int row = 0; row < count; row += 2) {
        const Half *even = rows[row], *odd = row + 1 < count ? rows[row + 1] : nullptr;
        for (int x = 0; x < width; x += WORDS)
            _mm512_storeu_si512(out + row / 2 * width + x,
                                zipped(halves(even + x), odd ? halves(odd + x) : _mm256_setzero_si256()));
    }
}

// A row of fp32, scaled and rounded to bf16.
void round_row(const float* from, int width, float scale, Half* to) {
    if (!to) return;
    for (int x = 0; x < width; x += WORDS)
        _mm256_storeu_si256((__m256i*)(to + x),
                            narrowed(_mm512_mul_ps(_mm512_loadu_ps(from + x), _mm512_set1_ps(scale))));
}

// Rows as the first operand of a product: where they lie, or copied to `side_by_side` where they lie scattered.
Rows evenly_spaced(const Rows& rows, int count, int head, Half* side_by_side) {
    if (!rows.index) return rows;
    for (int row = 0; row < count; ++row) std::memcpy(side_by_side + row * head, rows[row], sizeof(Half) * head);
    return {side_by_side, head, nullptr};
}

// Memory of one thread, handed out piece by piece and kept for the next call.
class Scratch {
  public:
    static Scratch& of_this_thread(int64_t bytes) {
        static thread_local Scratch scratch;
        scratch.used_ = 0;
        if (bytes > scratch.size_) scratch.grow(bytes);
        return scratch;
    }
    template <class T>
    T* take(int64_t count) {
        const int64_t bytes = (count * sizeof(T) + 63) / 64 * 64;
        T* piece = reinterpret_cast<T*>(base_ + used_);
        used_ += bytes;
        return piece;
    }
    int64_t used() const { return used_; }

  private:
    void grow(int64_t bytes) {
        memory_.reset(new char[bytes + 64]);
        base_ = memory_.get() + (64 - reinterpret_cast<uintptr_t>(memory_.get()) % 64) % 64;
        size_ = bytes;
    }

    std::unique_ptr<char[]> memory_;
    char* base_ = nullptr;
    int64_t used_ = 0, size_ = 0;
};

struct Shape {
    int tokens, heads, head;

    int lanes() const { return rounded_up(tokens, WORDS); }
    int pairs() const { return (tokens + 1) / 2; }
    int64_t width() const { return (int64_t)heads * head; }
    int64_t table() const { return (int64_t)tokens * tokens; }
    float scale() const { return 1.0f / std::sqrt((float)head); }
};

// Fetches what the next head will read while this one is computed: rows lie a whole token apart, which no hardware
// foresees.
void foresee(const Rows& rows, int count, int head) {
    for (int row = 0; row < count; ++row)
        for (int x = 0; x < head; x += LINE) _mm_prefetch((const char*)(rows[row] + x), _MM_HINT_T1);
}

// Queries, keys and values of one head.
struct Parts {
    Rows queries, keys, values;

    void foresee_all(int count, int head) const {
        for (const Rows* rows : {&queries, &keys, &values}) foresee(*rows, count, head);
    }
};

// What is added to the scores of one head: a bias (keys, queries), or none where that is null; and minus infinity for
// a pair of different regions (N), where those are not null.
struct Added {
    const float* bias;
    const int32_t* regions;

    // Scores of one key and the 16 queries from `first` on, of which those in `there` exist, as powers of two.
    __m512 to(__m512 power, const Shape& s, int key, int first, __mmask16 there) const {
        if (bias) {
            const __m512 more = _mm512_maskz_loadu_ps(there, bias + (int64_t)key * s.tokens + first);
            power = _mm512_fmadd_ps(more, _mm512_set1_ps(LOG2_E), power);
        }
        if (!regions) return power;
        const __m512i own = _mm512_maskz_loadu_epi32(there, regions + first);
        const __mmask16 same = _mm512_cmpeq_epi32_mask(own, _mm512_set1_epi32(regions[key]));
        return _mm512_mask_mov_ps(_mm512_set1_ps(-std::numeric_limits<float>::infinity()), same, power);
    }
};

struct Forward {
    Word *queries, *values, *weights;
    float *scores, *mixed;
    Half* side_by_side;

    void lay_out(Scratch& scratch, const Shape& s) {
        queries = scratch.take<Word>((int64_t)s.head / 2 * s.lanes());
        values = scratch.take<Word>((int64_t)s.pairs() * s.head);
        weights = scratch.take<Word>((int64_t)s.pairs() * QUERIES);
        scores = scratch.take<float>((int64_t)2 * s.pairs() * QUERIES);
        mixed = scratch.take<float>(QUERIES * s.head);
        side_by_side = scratch.take<Half>((int64_t)s.tokens * s.head);
    }

    // Scores (N, QUERIES) of 16 queries as weights, paired along keys; the largest scores, and inverse sums, beside.
    void soften(const Shape& s, float* score, const Added& added, int first, Word* weight, float* top,
                float* inverse) const {
        const __mmask16 there = first_lanes(s.tokens - first);
        const __m512 scale = _mm512_set1_ps(s.scale() * LOG2_E);
        __m512 largest = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
        for (int key = 0; key < s.tokens; ++key) {
            const __m512 plain = _mm512_mul_ps(_mm512_load_ps(score + key * QUERIES), scale);
            const __m512 power = added.to(plain, s, key, first, there);
            largest = _mm512_max_ps(largest, power);
            _mm512_store_ps(score + key * QUERIES, power);
        }
        if (s.tokens % 2)
            _mm512_store_ps(score + s.tokens * QUERIES, _mm512_set1_ps(-std::numeric_limits<float>::infinity()));
        __m512 total = _mm512_setzero_ps();
        for (int pair = 0; pair < s.pairs(); ++pair) {
            const float* at = score + 2 * pair * QUERIES;
            const __m512 even = power_of_two(_mm512_sub_ps(_mm512_load_ps(at), largest));
            const __m512 odd = power_of_two(_mm512_sub_ps(_mm512_load_ps(at + QUERIES), largest));
            total = _mm512_add_ps(total, _mm512_add_ps(even, odd));
            _mm512_store_si512(weight + pair * QUERIES, zipped(narrowed(even), narrowed(odd)));
        }
        _mm512_mask_storeu_ps(top, there, largest);
        _mm512_mask_storeu_ps(inverse, there, _mm512_div_ps(_mm512_set1_ps(1.0f), total));
    }

    void run(const Shape& s, const Parts& qkv, const Added& added, const Places& out, float* tops,
             float* inverses) const {
        pair_across(qkv.queries, s.tokens, s.head, queries, s.lanes());
        pair_down(qkv.values, s.tokens, s.head, values);
        const Rows keys = evenly_spaced(qkv.keys, s.tokens, s.head, side_by_side);
        for (int first = 0; first < s.tokens; first += QUERIES) {
            const int count = std::min(QUERIES, s.tokens - first);
            product<false>(s.tokens, rounded_up(count, WORDS) / WORDS, words(keys.first), keys.stride / 2, 1,
                           queries + first, s.lanes(), s.head / 2, scores, QUERIES);
            for (int x = 0; x < count; x += WORDS)
                soften(s, scores + x, added, first + x, weights + x, tops + first + x, inverses + first + x);
            product<false>(count, s.head / WORDS, weights, 1, QUERIES, values, s.head, s.pairs(), mixed, s.head);
            for (int row = 0; row < count; ++row)
                round_row(mixed + row * s.head, s.head, inverses[first + row], out[first + row]);
        }
    }
};

struct Backward {
    Word *queries_across, *queries_down, *keys_down, *grads_across, *grads_down, *slopes_down;
    float *tops, *inverses, *shares, *scores, *slopes, *sums, *query_sums;
    Half *weights_rows, *slopes_rows, *keys_by_side, *values_by_side;

    void lay_out(Scratch& scratch, const Shape& s) {
        const int64_t across = (int64_t)s.head / 2 * s.lanes(), down = (int64_t)s.pairs() * s.head;
        queries_across = scratch.take<Word>(across);
        queries_down = scratch.take<Word>(down);
        keys_down = scratch.take<Word>(down);
        grads_across = scratch.take<Word>(across);
        grads_down = scratch.take<Word>(down);
        slopes_down = scratch.take<Word>(KEYS / 2 * s.lanes());
        tops = scratch.take<float>(s.lanes());
        inverses = scratch.take<float>(s.lanes());
        shares = scratch.take<float>(s.lanes());
        scores = scratch.take<float>(ROWS * s.lanes());
        slopes = scratch.take<float>(ROWS * s.lanes());
        sums = scratch.take<float>(KEYS * s.head);
        query_sums = scratch.take<float>((int64_t)s.tokens * s.head);
        weights_rows = scratch.take<Half>(KEYS * s.lanes());
        slopes_rows = scratch.take<Half>(KEYS * s.lanes());
        keys_by_side = scratch.take<Half>((int64_t)s.tokens * s.head);
        values_by_side = scratch.take<Half>((int64_t)s.tokens * s.head);
    }

    // For every query the product of result and its gradient, which is the mean of its weights' gradients.
    void take_shares(const Shape& s, const Rows& out, const Rows& grad) const {
        for (int row = 0; row < s.tokens; ++row) {
            const Half *mixed = out[row], *slope = grad[row];
            __m512 sum = _mm512_setzero_ps();
            for (int x = 0; x < s.head; x += WORDS)
                sum = _mm512_fmadd_ps(widened(halves(mixed + x)), widened(halves(slope + x)), sum);
            shares[row] = _mm512_reduce_add_ps(sum);
        }
    }

    // Weights and gradients of scores of one key for all queries, from its scores and the weights' gradients.
    void slope(const Shape& s, int key, const float* score, const float* grad, const Added& added, float* bias_grad,
               Half* weight, Half* slope) const {
        const __m512 scale = _mm512_set1_ps(s.scale() * LOG2_E);
        float* own = bias_grad ? bias_grad + (int64_t)key * s.tokens : nullptr;
        for (int x = 0; x < s.lanes(); x += WORDS) {
            const __mmask16 there = first_lanes(s.tokens - x);
            const __m512 less = _mm512_fmsub_ps(_mm512_load_ps(score + x), scale, _mm512_load_ps(tops + x));
            const __m512 power = added.to(less, s, key, x, there);
            const __m512 p = _mm512_mul_ps(power_of_two(power), _mm512_load_ps(inverses + x));
            const __m512 ds = _mm512_mul_ps(p, _mm512_sub_ps(_mm512_loadu_ps(grad + x), _mm512_loadu_ps(shares + x)));
            if (own)
                _mm512_mask_storeu_ps(own + x, there, _mm512_add_ps(_mm512_maskz_loadu_ps(there, own + x), ds));
            _mm256_storeu_si256((__m256i*)(weight + x), narrowed(p));
            _mm256_storeu_si256((__m256i*)(slope + x), narrowed(ds));
        }
    }

    // `statistics` is what the forward pass kept.
    void run(const Shape& s, const Parts& qkv, const Added& added, const Rows& out, const float* statistics,
             const Rows& grad, const Places& queries_grad, const Places& keys_grad, const Places& values_grad,
             float* bias_grad) const {
        const int64_t lanes = s.lanes();
        const int registers = s.lanes() / WORDS, head_registers = s.head / WORDS;
        for (float* each : {tops, inverses, shares}) std::fill(each, each + lanes, 0.0f);
        std::copy(statistics, statistics + s.tokens, tops);
        std::copy(statistics + s.tokens, statistics + 2 * s.tokens, inverses);
        take_shares(s, out, grad);
        pair_across(qkv.queries, s.tokens, s.head, queries_across, lanes);
        pair_down(qkv.queries, s.tokens, s.head, queries_down);
        pair_down(qkv.keys, s.tokens, s.head, keys_down);
        pair_across(grad, s.tokens, s.head, grads_across, lanes);
        pair_down(grad, s.tokens, s.head, grads_down);
        const Rows keys = evenly_spaced(qkv.keys, s.tokens, s.head, keys_by_side);
        const Rows values = evenly_spaced(qkv.values, s.tokens, s.head, values_by_side);

        for (int first = 0; first < s.tokens; first += KEYS) {
            const int count = std::min(KEYS, s.tokens - first), blocks = (count + ROWS - 1) / ROWS;
            for (int block = 0; block < blocks; ++block) {
                const int begin = count * block / blocks, rows = count * (block + 1) / blocks - begin;
                const int key = first + begin;
                product<false>(rows, registers, words(keys[key]), keys.stride / 2, 1, queries_across, lanes, s.head / 2,
                               scores, lanes);
                product<false>(rows, registers, words(values[key]), values.stride / 2, 1, grads_across, lanes,
                               s.head / 2, slopes, lanes);
                for (int r = 0; r < rows; ++r)
                    slope(s, key + r, scores + r * lanes, slopes + r * lanes, added, bias_grad,
                          weights_rows + (begin + r) * lanes, slopes_rows + (begin + r) * lanes);
            }
            product<false>(count, head_registers, words(weights_rows), lanes / 2, 1, grads_down, s.head, s.pairs(),
                           sums, s.head);
            for (int row = 0; row < count; ++row)
                round_row(sums + row * s.head, s.head, 1.0f, values_grad[first + row]);
            product<false>(count, head_registers, words(slopes_rows), lanes / 2, 1, queries_down, s.head, s.pairs(),
                           sums, s.head);
            for (int row = 0; row < count; ++row)
                round_row(sums + row * s.head, s.head, s.scale(), keys_grad[first + row]);
            pair_down({slopes_rows, lanes, nullptr}, count, lanes, slopes_down);
            const Word* keys_here = keys_down + (int64_t)first / 2 * s.head;
            auto add = first ? product<true> : product<false>;
            add(s.tokens, head_registers, slopes_down, 1, lanes, keys_here, s.head, (count + 1) / 2, query_sums,
                s.head);
        }
        for (int row = 0; row < s.tokens; ++row)
            round_row(query_sums + row * s.head, s.head, s.scale(), queries_grad[row]);
    }
};

template <class Pass>
int64_t bytes_of(const Shape& s) {
    Scratch measure;
    Pass().lay_out(measure, s);
    return measure.used();
}

// Where the heads of all sequences lie: B images of `length` rows each, which are one sequence or, with an index
// (windows, N), as many as there are windows. Sequence n has regions n % divisions.
struct Layout {
    Shape shape;
    int64_t length, windows, divisions;
    const int32_t *index, *regions;
    const float* bias;

    template <class T, class Pointer>
    T head(Pointer tokens, int64_t parts, int64_t part, int64_t sequence, int64_t h) const {
        const int64_t row = sequence / windows * length, stride = parts * shape.width();
        return {tokens + row * stride + part * shape.width() + h * shape.head, stride,
                index ? index + sequence % windows * shape.tokens : nullptr};
    }
    Parts parts(const Half* qkv, int64_t sequence, int64_t h) const {
        return {head<Rows>(qkv, 3, 0, sequence, h), head<Rows>(qkv, 3, 1, sequence, h),
                head<Rows>(qkv, 3, 2, sequence, h)};
    }
    Added added(int64_t sequence, int64_t h) const {
        const int32_t* own = regions ? regions + sequence % divisions * shape.tokens : nullptr;
        if (own && std::all_of(own, own + shape.tokens, [&](int32_t region) { return region == *own; })) own = nullptr;
        return {bias ? bias + h * shape.table() : nullptr, own};
    }
};

}  // namespace

extern "C" {

// qkv (B, length, 3, K, E) and out (B, length, K, E) in bf16. index (windows, N) names the rows of each window of a
// image, or is null: then an image is one sequence of N = length. regions (divisions, N), or null: a weight between
// two of them is zero. bias (K, N, N) in fp32, transposed to (keys, queries), or null. statistics (B * windows, K, 2,
// N): of each query the largest score, as a power of two, and one over the sum of its weights.
void vitrail_attention_forward(const Half* qkv, const int32_t* index, const int32_t* regions, const float* bias,
                               Half* out, float* statistics, int64_t images, int64_t length, int64_t windows,
                               int64_t tokens, int64_t heads, int64_t head, int64_t divisions, int64_t threads) {
    const Shape s{(int)tokens, (int)heads, (int)head};
    const Layout layout{s, length, windows, divisions, index, regions, bias};
    const int64_t bytes = bytes_of<Forward>(s), items = images * windows * heads;
#pragma omp parallel num_threads(threads)
    {
        Forward pass;
        pass.lay_out(Scratch::of_this_thread(bytes), s);
#pragma omp for schedule(static)
        for (int64_t item = 0; item < items; ++item) {
            const int64_t sequence = item / heads, h = item % heads, next = item + 1;
            if (next < items) layout.parts(qkv, next / heads, next % heads).foresee_all(s.tokens, s.head);
            pass.run(s, layout.parts(qkv, sequence, h), layout.added(sequence, h),
                     layout.head<Places>(out, 1, 0, sequence, h), statistics + 2 * item * tokens,
                     statistics + (2 * item + 1) * tokens);
        }
    }
}

// As above. `bias_grad` (pieces, K, N, N) is transposed too and zero before, or null: each of so many pieces of the
// sequences adds to its own, so that the sum's order is always the same.
void vitrail_attention_backward(const Half* qkv, const int32_t* index, const int32_t* regions, const float* bias,
                                const Half* out, const float* statistics, const Half* grad, Half* qkv_grad,
                                float* bias_grad, int64_t images, int64_t length, int64_t windows, int64_t tokens,
                                int64_t heads, int64_t head, int64_t divisions, int64_t pieces, int64_t threads) {
    const Shape s{(int)tokens, (int)heads, (int)head};
    const Layout layout{s, length, windows, divisions, index, regions, bias};
    const int64_t bytes = bytes_of<Backward>(s), sequences = images * windows;
#pragma omp parallel num_threads(threads)
    {
        Backward pass;
        pass.lay_out(Scratch::of_this_thread(bytes), s);
#pragma omp for schedule(static)
        for (int64_t item = 0; item < pieces * heads; ++item) {
            const int64_t piece = item / heads, h = item % heads, end = sequences * (piece + 1) / pieces;
            for (int64_t sequence = sequences * piece / pieces; sequence < end; ++sequence) {
                if (sequence + 1 < end) {
                    layout.parts(qkv, sequence + 1, h).foresee_all(s.tokens, s.head);
                    for (const Half* rows : {out, grad})
                        foresee(layout.head<Rows>(rows, 1, 0, sequence + 1, h), s.tokens, s.head);
                }
                pass.run(s, layout.parts(qkv, sequence, h), layout.added(sequence, h),
                         layout.head<Rows>(out, 1, 0, sequence, h), statistics + 2 * (sequence * heads + h) * tokens,
                         layout.head<Rows>(grad, 1, 0, sequence, h), layout.head<Places>(qkv_grad, 3, 0, sequence, h),
                         layout.head<Places>(qkv_grad, 3, 1, sequence, h),
                         layout.head<Places>(qkv_grad, 3, 2, sequence, h),
                         bias_grad ? bias_grad + item * s.table() : nullptr);
            }
        }
    }
}

}  // extern "C"
