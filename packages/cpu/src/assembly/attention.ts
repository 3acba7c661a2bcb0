/**
 * Attention, forward and backward, block by block with an online softmax (Dao et al. 2022): at most 48 queries × 64 keys of scores exist per thread. The
 * products are `gemmBlock`; K and V of a block are packed once and used by its 48 queries.
 *
 * All kernels share one parameter list: [0 q, 1 k, 2 v, 3 segments, 4 lengths, 5 o, 6 logSumExp, 7 batch, 8 queries, 9 keys, 10 heads, 11 keyHeads,
 * 12 size, 13 causal, 14 window, 15 scale, 16 g, 17 dq, 18 dk, 19 dv, 20 delta]; segments and lengths are 0 where absent.
 */
import { max4, scratch, sum4 } from './common';
import { gemmBlock, packColumns, packRows } from './gemm';
import { exp4, log1 } from './math';

const QUERIES: i32 = 48;
const KEYS: i32 = 64;
/** Bytes between rows of a block of scores. */
const ROW: usize = 256;

/* This thread's scratch memory, in bytes from its start. */
const EDGE: usize = 0;
const STARTS: usize = 256;
const ENDS: usize = 512;
const TOPS: usize = 768;
const DELTAS: usize = 1024;
const SUMS: usize = 1280;
const SCORES: usize = 2048;
const SLOPES: usize = SCORES + 16384;
const PANELS: usize = SLOPES + 16384;
const OUTPUT: usize = PANELS + 65536;
const OUTPUT2: usize = OUTPUT + 65536;

/* The call in hand, read from the parameters by `enter`. */
let q: usize = 0, k: usize = 0, v: usize = 0, g: usize = 0;
let segments: usize = 0, lengths: usize = 0;
let queries: i32 = 0, keys: i32 = 0, heads: i32 = 0, keyHeads: i32 = 0, size: i32 = 0, causal: i32 = 0, window: i32 = 0;
let scale: f32 = 0;
let queryStride: i32 = 0, keyStride: i32 = 0;

function enter(p: usize): void {
  q = load<usize>(p);
  k = load<usize>(p, 4);
  v = load<usize>(p, 8);
  segments = load<usize>(p, 12);
  lengths = load<usize>(p, 16);
  queries = load<i32>(p, 32);
  keys = load<i32>(p, 36);
  heads = load<i32>(p, 40);
  keyHeads = load<i32>(p, 44);
  size = load<i32>(p, 48);
  causal = load<i32>(p, 52);
  window = load<i32>(p, 56);
  scale = load<f32>(p, 60);
  g = load<usize>(p, 64);
  queryStride = heads * size;
  keyStride = keyHeads * size;
}

/** First visible key of the block of queries, after `bounds`; and one past the last. */
let low: i32 = 0, high: i32 = 0;

/** Writes which keys each of `count` queries from `first` sees to STARTS and ENDS, padded to 64 with queries that see none. */
function bounds(b: i32, first: i32, count: i32): void {
  const offset = lengths != 0 ? load<i32>(lengths + (<usize>b << 2)) : keys - queries;
  low = keys;
  high = 0;
  for (let r = 0; r < count; r++) {
    const position = offset + first + r;
    let start = 0, end = lengths != 0 ? min(keys, offset + queries) : keys;
    if (segments != 0) {
      const document = segments + (<usize>(b * keys + first + r) << 3);
      start = max(0, load<i32>(document));
      end = min(end, load<i32>(document, 4));
    }
    if (window > 0) start = max(start, position - window + 1);
    if (causal) end = min(end, position + 1);
    if (start < end) {
      low = min(low, start);
      high = max(high, end);
    } else {
      start = 0;
      end = 0;
    }
    store<i32>(scratch + STARTS + (<usize>r << 2), start);
    store<i32>(scratch + ENDS + (<usize>r << 2), end);
  }
  for (let r = count; r < 64; r++) {
    store<i32>(scratch + STARTS + (<usize>r << 2), 0);
    store<i32>(scratch + ENDS + (<usize>r << 2), 0);
  }
}

/** x [rows][size] · key-like rows [count][size]ᵀ → `to` [rows][64 floats apart]. Few rows take dot products, more take packed panels. */
function scores(x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, count: i32, to: usize): void {
  const xBytes = <usize>xStride << 2;
  if (rows < 4) {
    const whole = <usize>(size & ~3) << 2;
    const bytes = <usize>size << 2;
    for (let r = 0; r < rows; r++) {
      const left = x + <usize>r * xBytes;
      for (let j = 0; j < count; j++) {
        const right = y + (<usize>(j * yStride) << 2);
        let sum = f32x4.splat(0);
        let i: usize = 0;
        for (; i < whole; i += 16) sum = v128.add<f32>(sum, v128.mul<f32>(v128.load(left + i), v128.load(right + i)));
        let total = sum4(sum);
        for (; i < bytes; i += 4) total += load<f32>(left + i) * load<f32>(right + i);
        store<f32>(to + <usize>r * ROW + (<usize>j << 2), total);
      }
    }
    return;
  }
  packColumns<f32>(y, yStride, size, count, scratch + PANELS, 0, (count + 7) >> 3);
  gemmBlock(x, xBytes, scratch + PANELS, <usize>size << 5, size, 0, 0, to, ROW, rows, count, scratch + EDGE);
}

/** `to` [rows][size] += weights [rows][count] (64 floats apart) · y [count][size]. */
function accumulate(weights: usize, rows: i32, y: usize, yStride: i32, count: i32, to: usize): void {
  const bytes = <usize>size << 2;
  if (rows < 4) {
    const whole = bytes & ~15;
    for (let r = 0; r < rows; r++) {
      const target = to + <usize>r * bytes;
      for (let j = 0; j < count; j++) {
        const weight = load<f32>(weights + <usize>r * ROW + (<usize>j << 2));
        const weight4 = f32x4.splat(weight);
        const from = y + (<usize>(j * yStride) << 2);
        let i: usize = 0;
        for (; i < whole; i += 16) v128.store(target + i, v128.add<f32>(v128.load(target + i), v128.mul<f32>(weight4, v128.load(from + i))));
        for (; i < bytes; i += 4) store<f32>(target + i, load<f32>(target + i) + weight * load<f32>(from + i));
      }
    }
    return;
  }
  packRows<f32>(y, yStride, count, size, scratch + PANELS, 0, (size + 7) >> 3);
  gemmBlock(weights, ROW, scratch + PANELS, <usize>count << 5, count, to, bytes, to, bytes, rows, size, scratch + EDGE);
}

// @ts-ignore: decorator
@inline
function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
}

/** Lanes j..j+3 of one query's keys that it sees. */
// @ts-ignore: decorator
@inline
function visible(j: i32, start: v128, end: v128): v128 {
  const at = v128.add<i32>(i32x4.splat(j), i32x4(0, 1, 2, 3));
  return v128.and(v128.ge<i32>(at, start), v128.lt<i32>(at, end));
}

/** Turns scores of one query into weights e^(s − top) with a growing top, and scales what was summed under the old one. */
function softmaxRow(r: i32, first: i32, count: i32): void {
  const state = scratch + (<usize>r << 2);
  const row = scratch + SCORES + <usize>r * ROW;
  const start = i32x4.splat(load<i32>(state + STARTS) - first), end = i32x4.splat(load<i32>(state + ENDS) - first);
  const scale4 = f32x4.splat(scale);
  const hidden = f32x4.splat(-Infinity);
  let top4 = hidden;
  for (let j = 0; j < count; j += 4) {
    const at = row + (<usize>j << 2);
    const s = v128.bitselect(v128.mul<f32>(v128.load(at), scale4), hidden, visible(j, start, end));
    v128.store(at, s);
    top4 = v128.max<f32>(top4, s);
  }
  const before = load<f32>(state + TOPS);
  const top = max(before, max4(top4));
  if (top == -Infinity) {
    memory.fill(row, 0, <usize>((count + 3) & ~3) << 2);
    return;
  }
  const sums = scratch + SUMS + (<usize>r << 3);
  if (top != before) {
    const shrink = exp1(before - top);
    store<f64>(sums, load<f64>(sums) * <f64>shrink);
    const shrink4 = f32x4.splat(shrink);
    // Rows of the output may be no multiple of four long: the next row's first elements are put back by working element by element at the end.
    const out = scratch + OUTPUT + (<usize>(r * size) << 2);
    const bytes = <usize>size << 2;
    let i: usize = 0;
    for (; i + 16 <= bytes; i += 16) v128.store(out + i, v128.mul<f32>(v128.load(out + i), shrink4));
    for (; i < bytes; i += 4) store<f32>(out + i, load<f32>(out + i) * shrink);
    store<f32>(state + TOPS, top);
  }
  const now = f32x4.splat(top);
  let sum = f32x4.splat(0);
  for (let j = 0; j < count; j += 4) {
    const at = row + (<usize>j << 2);
    const e = exp4(v128.sub<f32>(v128.load(at), now));
    v128.store(at, e);
    sum = v128.add<f32>(sum, e);
  }
  store<f64>(sums, load<f64>(sums) + <f64>sum4(sum));
}

/** attention: a unit is a block of 48 queries of one head. */
export function attention(p: usize, begin: i32, end: i32): void {
  enter(p);
  const blocks = (queries + QUERIES - 1) / QUERIES;
  for (let unit = begin; unit < end; unit++) {
    const b = unit / (blocks * heads);
    const h = (unit / blocks) % heads;
    const first = (unit % blocks) * QUERIES;
    const count = min(QUERIES, queries - first);
    bounds(b, first, count);
    for (let r = 0; r < count; r++) {
      store<f32>(scratch + TOPS + (<usize>r << 2), -Infinity);
      store<f64>(scratch + SUMS + (<usize>r << 3), 0);
    }
    memory.fill(scratch + OUTPUT, 0, <usize>(count * size) << 2);
    const place = ((b * queries + first) * heads + h) * size;
    const keyHead = (h * keyHeads) / heads;
    for (let key = low; key < high; key += KEYS) {
      const width = min(KEYS, high - key);
      const offset = <usize>(((b * keys + key) * keyHeads + keyHead) * size) << 2;
      scores(q + (<usize>place << 2), queryStride, count, k + offset, keyStride, width, scratch + SCORES);
      for (let r = 0; r < count; r++) softmaxRow(r, key, width);
      accumulate(scratch + SCORES, count, v + offset, keyStride, width, scratch + OUTPUT);
    }
    for (let r = 0; r < count; r++) {
      const total = load<f64>(scratch + SUMS + (<usize>r << 3));
      const factor = total == 0 ? <f32>0 : <f32>(1 / total);
      const out = load<usize>(p, 20) + (<usize>(place + r * queryStride) << 2);
      for (let i = 0; i < size; i++) store<f32>(out + (<usize>i << 2), load<f32>(scratch + OUTPUT + (<usize>(r * size + i) << 2)) * factor);
      const top = load<f32>(scratch + TOPS + (<usize>r << 2));
      const at = load<usize>(p, 24) + (<usize>((b * heads + h) * queries + first + r) << 2);
      store<f32>(at, total == 0 ? -Infinity : top + log1(<f32>total));
    }
  }
}

/** attentionBackwardQuery: dq and δ = Σ g·o. A unit is a block of 48 queries of one head. */
export function attentionBackwardQuery(p: usize, begin: i32, end: i32): void {
  enter(p);
  const blocks = (queries + QUERIES - 1) / QUERIES;
  const scale4 = f32x4.splat(scale);
  for (let unit = begin; unit < end; unit++) {
    const b = unit / (blocks * heads);
    const h = (unit / blocks) % heads;
    const first = (unit % blocks) * QUERIES;
    const count = min(QUERIES, queries - first);
    const place = ((b * queries + first) * heads + h) * size;
    const line = <usize>((b * heads + h) * queries + first) << 2;
    const keyHead = (h * keyHeads) / heads;
    bounds(b, first, count);
    for (let r = 0; r < count; r++) {
      const row = <usize>(place + r * queryStride) << 2;
      let delta: f64 = 0;
      for (let i = 0; i < size; i++) delta += <f64>load<f32>(g + row + (<usize>i << 2)) * <f64>load<f32>(load<usize>(p, 20) + row + (<usize>i << 2));
      store<f32>(scratch + DELTAS + (<usize>r << 2), <f32>delta);
    }
    memory.copy(load<usize>(p, 80) + line, scratch + DELTAS, <usize>count << 2);
    memory.fill(scratch + OUTPUT, 0, <usize>(count * size) << 2);
    for (let key = low; key < high; key += KEYS) {
      const width = min(KEYS, high - key);
      const offset = <usize>(((b * keys + key) * keyHeads + keyHead) * size) << 2;
      scores(q + (<usize>place << 2), queryStride, count, k + offset, keyStride, width, scratch + SCORES);
      scores(g + (<usize>place << 2), queryStride, count, v + offset, keyStride, width, scratch + SLOPES);
      for (let r = 0; r < count; r++) {
        const state = scratch + (<usize>r << 2);
        const from = i32x4.splat(load<i32>(state + STARTS) - key), to = i32x4.splat(load<i32>(state + ENDS) - key);
        const total = v128.load_splat<f32>(load<usize>(p, 24) + line + (<usize>r << 2));
        const delta = v128.load_splat<f32>(state + DELTAS);
        const row = scratch + SCORES + <usize>r * ROW;
        for (let j = 0; j < width; j += 4) {
          const at = row + (<usize>j << 2);
          const weight = exp4(v128.sub<f32>(v128.mul<f32>(v128.load(at), scale4), total));
          const slope = v128.mul<f32>(v128.mul<f32>(weight, v128.sub<f32>(v128.load(at + SLOPES - SCORES), delta)), scale4);
          v128.store(at, v128.and(slope, visible(j, from, to)));
        }
      }
      accumulate(scratch + SCORES, count, k + offset, keyStride, width, scratch + OUTPUT);
    }
    for (let r = 0; r < count; r++) {
      memory.copy(load<usize>(p, 68) + (<usize>(place + r * queryStride) << 2), scratch + OUTPUT + (<usize>(r * size) << 2), <usize>size << 2);
    }
  }
}

/** attentionBackwardKey: dk and dv, after δ. A unit is a block of 64 keys of one key head; its queries are added up in order, whatever the threads. */
export function attentionBackwardKey(p: usize, begin: i32, end: i32): void {
  enter(p);
  const blocks = (keys + KEYS - 1) / KEYS;
  const group = heads / keyHeads;
  const scale4 = f32x4.splat(scale);
  for (let unit = begin; unit < end; unit++) {
    const b = unit / (blocks * keyHeads);
    const keyHead = (unit / blocks) % keyHeads;
    const key = (unit % blocks) * KEYS;
    const width = min(KEYS, keys - key);
    const offset = <usize>(((b * keys + key) * keyHeads + keyHead) * size) << 2;
    memory.fill(scratch + OUTPUT, 0, <usize>(width * size) << 2);
    memory.fill(scratch + OUTPUT2, 0, <usize>(width * size) << 2);
    for (let first = 0; first < queries; first += QUERIES) {
      const count = min(QUERIES, queries - first);
      bounds(b, first, count);
      if (low >= key + width || high <= key) continue;
      for (let h = keyHead * group; h < (keyHead + 1) * group; h++) {
        const place = <usize>(((b * queries + first) * heads + h) * size) << 2;
        const line = <usize>((b * heads + h) * queries + first) << 2;
        memory.copy(scratch + TOPS, load<usize>(p, 24) + line, <usize>count << 2);
        memory.copy(scratch + DELTAS, load<usize>(p, 80) + line, <usize>count << 2);
        scores(k + offset, keyStride, width, q + place, queryStride, count, scratch + SCORES);
        scores(v + offset, keyStride, width, g + place, queryStride, count, scratch + SLOPES);
        for (let j = 0; j < width; j++) {
          const own = i32x4.splat(key + j);
          const row = scratch + SCORES + <usize>j * ROW;
          for (let i: usize = 0; i < <usize>count << 2; i += 16) {
            const seen = v128.and(v128.le<i32>(v128.load(scratch + STARTS + i), own), v128.gt<i32>(v128.load(scratch + ENDS + i), own));
            const weight = v128.and(exp4(v128.sub<f32>(v128.mul<f32>(v128.load(row + i), scale4), v128.load(scratch + TOPS + i))), seen);
            const slope = v128.mul<f32>(v128.mul<f32>(weight, v128.sub<f32>(v128.load(row + i + SLOPES - SCORES), v128.load(scratch + DELTAS + i))), scale4);
            v128.store(row + i, weight);
            v128.store(row + i + SLOPES - SCORES, v128.and(slope, seen));
          }
        }
        accumulate(scratch + SCORES, width, g + place, queryStride, count, scratch + OUTPUT);
        accumulate(scratch + SLOPES, width, q + place, queryStride, count, scratch + OUTPUT2);
      }
    }
    for (let j = 0; j < width; j++) {
      const row = offset + (<usize>(j * keyStride) << 2);
      const from = <usize>(j * size) << 2;
      memory.copy(load<usize>(p, 76) + row, scratch + OUTPUT + from, <usize>size << 2);
      memory.copy(load<usize>(p, 72) + row, scratch + OUTPUT2 + from, <usize>size << 2);
    }
  }
}
