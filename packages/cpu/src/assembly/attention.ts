/**
 * Attention, forward and backward, block by block with an online softmax (Dao et al. 2022): at most 48 rows × 64 keys
 * of scores exist per thread. A row is a query of one head; the heads that share a key head are taken together, so that
 * a block of 48 rows spans few positions, packed documents waste little, and packed keys and values serve all of them.
 * The products are `gemmBlock`.
 *
 * All kernels share one parameter list: [0 q, 1 k, 2 v, 3 segments, 4 lengths, 5 o, 6 logSumExp, 7 batch, 8 queries, 9
 * keys, 10 heads, 11 keyHeads, 12 size, 13 causal, 14 window, 15 scale, 16 softcap, 17 halves, 18 g, 19 dq, 20 dk, 21
 * dv, 22 delta]; segments, lengths and softcap are 0 where absent; halves is 1 where k and v are f16, forward alone.
 */
import { load1, load4, max4, scratch, sum4 } from './common';
import { gemmBlock, packColumns, packRows } from './gemm';
import { exp4, log1, tanh4 } from './math';

/** Rows of a block: positions times heads of a group. */
const ROWS: i32 = 48;
/** Larger groups of heads are taken head by head. */
const LARGEST_GROUP: i32 = 8;
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
const QUERY_ROWS: usize = OUTPUT2 + 65536;
const GRADIENT_ROWS: usize = QUERY_ROWS + 49152;

/* The call in hand, read from the parameters by `enter`. */
let q: usize = 0,
  k: usize = 0,
  v: usize = 0,
  g: usize = 0;
let segments: usize = 0,
  lengths: usize = 0;
let queries: i32 = 0,
  keys: i32 = 0,
  heads: i32 = 0,
  keyHeads: i32 = 0,
  size: i32 = 0,
  causal: i32 = 0,
  window: i32 = 0;
let scale: f32 = 0,
  softcap: f32 = 0;
let queryStride: i32 = 0,
  keyStride: i32 = 0;
/** Whether k and v are f16. */
let halves: i32 = 0;
/** Heads taken together, how many such groups there are, and the queries of a block. */
let group: i32 = 0,
  groups: i32 = 0,
  span: i32 = 0;

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
  softcap = load<f32>(p, 64);
  halves = load<i32>(p, 68);
  g = load<usize>(p, 72);
  queryStride = heads * size;
  keyStride = keyHeads * size;
  group = heads / keyHeads;
  if (group > LARGEST_GROUP) group = 1;
  groups = heads / group;
  span = ROWS / group;
}

/** First visible key of the block of queries, after `bounds`; and one past the last. */
let low: i32 = 0,
  high: i32 = 0;

/**
 * Writes which keys each row of `count` queries from `first` sees to STARTS and ENDS, padded to 64 with rows that see
 * none.
 */
function bounds(b: i32, first: i32, count: i32): void {
  const offset = lengths != 0 ? load<i32>(lengths + ((<usize>b) << 2)) : keys - queries;
  low = keys;
  high = 0;
  let r = 0;
  for (let i = 0; i < count; i++) {
    const position = offset + first + i;
    let start = 0,
      end = lengths != 0 ? min(keys, offset + queries) : keys;
    if (segments != 0) {
      const document = segments + ((<usize>(b * keys + first + i)) << 3);
      start = max(0, load<i32>(document));
      end = min(end, load<i32>(document, 4));
    }
    if (window > 0) start = max(start, position - window + 1);
    if (causal) end = min(end, position + 1);
    else if (window > 0) end = min(end, position + window);
    if (start < end) {
      low = min(low, start);
      high = max(high, end);
    } else {
      start = 0;
      end = 0;
    }
    for (let h = 0; h < group; h++) {
      store<i32>(scratch + STARTS + ((<usize>r) << 2), start);
      store<i32>(scratch + ENDS + ((<usize>r) << 2), end);
      r++;
    }
  }
  for (; r < 64; r++) {
    store<i32>(scratch + STARTS + ((<usize>r) << 2), 0);
    store<i32>(scratch + ENDS + ((<usize>r) << 2), 0);
  }
}

/** First element of the block's first row in q, o and their gradients: query `first`, first head of the group. */
// @inline
function placeOf(b: i32, groupIndex: i32, first: i32): i32 {
  return ((b * queries + first) * heads + groupIndex * group) * size;
}

/** Brings the rows of a block together: `count` queries, the heads of a group beside each other. */
function copyRows(from: usize, place: i32, count: i32, to: usize): void {
  const bytes = (<usize>(group * size)) << 2;
  for (let i = 0; i < count; i++) {
    memory.copy(to, from + ((<usize>(place + i * queryStride)) << 2), bytes);
    to += bytes;
  }
}

/** Where row r of a block lies in the log-sum-exp and δ, [B, heads, queries], in elements. */
// @inline
function lineOf(b: i32, groupIndex: i32, first: i32, r: i32): i32 {
  return (b * heads + groupIndex * group + (r % group)) * queries + first + r / group;
}

/**
 * x [rows][size] · key-like rows [count][size]ᵀ → `to` [rows][64 floats apart]. Few rows take dot products, more take
 * packed panels.
 */
function scores(x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, count: i32, to: usize): void {
  const xBytes = (<usize>xStride) << 2;
  if (rows < 4) {
    const whole = (<usize>(size & ~3)) << 2;
    const bytes = (<usize>size) << 2;
    for (let r = 0; r < rows; r++) {
      const left = x + <usize>r * xBytes;
      for (let j = 0; j < count; j++) {
        const right = y + ((<usize>(j * yStride)) << 2);
        let sum = f32x4.splat(0);
        let i: usize = 0;
        for (; i < whole; i += 16) sum = v128.add<f32>(sum, v128.mul<f32>(v128.load(left + i), v128.load(right + i)));
        let total = sum4(sum);
        for (; i < bytes; i += 4) total += load<f32>(left + i) * load<f32>(right + i);
        store<f32>(to + <usize>r * ROW + ((<usize>j) << 2), total);
      }
    }
    return;
  }
  packColumns<f32>(y, yStride, size, count, scratch + PANELS, 0, (count + 7) >> 3);
  gemmBlock(x, xBytes, scratch + PANELS, (<usize>size) << 5, size, 0, 0, to, ROW, rows, count, scratch + EDGE);
}

/** `to` [rows][size] += weights [rows][count] (64 floats apart) · y [count][size]. */
function accumulate(weights: usize, rows: i32, y: usize, yStride: i32, count: i32, to: usize): void {
  const bytes = (<usize>size) << 2;
  if (rows < 4) {
    const whole = bytes & ~15;
    for (let r = 0; r < rows; r++) {
      const target = to + <usize>r * bytes;
      for (let j = 0; j < count; j++) {
        const weight = load<f32>(weights + <usize>r * ROW + ((<usize>j) << 2));
        const weight4 = f32x4.splat(weight);
        const from = y + ((<usize>(j * yStride)) << 2);
        let i: usize = 0;
        for (; i < whole; i += 16)
          v128.store(target + i, v128.add<f32>(v128.load(target + i), v128.mul<f32>(weight4, v128.load(from + i))));
        for (; i < bytes; i += 4) store<f32>(target + i, load<f32>(target + i) + weight * load<f32>(from + i));
      }
    }
    return;
  }
  packRows<f32>(y, yStride, count, size, scratch + PANELS, 0, (size + 7) >> 3);
  gemmBlock(
    weights,
    ROW,
    scratch + PANELS,
    (<usize>count) << 5,
    count,
    to,
    bytes,
    to,
    bytes,
    rows,
    size,
    scratch + EDGE,
  );
}

// @inline
function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
}

/** Lanes j..j+3 of one query's keys that it sees. */
// @inline
function visible(j: i32, start: v128, end: v128): v128 {
  const at = v128.add<i32>(i32x4.splat(j), i32x4(0, 1, 2, 3));
  return v128.and(v128.ge<i32>(at, start), v128.lt<i32>(at, end));
}

/** Products q·k as the softmax sees them: scaled, and bent by tanh where there is a cap. */
// @inline
function scored(products: v128): v128 {
  const scaled = v128.mul<f32>(products, f32x4.splat(scale));
  return softcap == 0
    ? scaled
    : v128.mul<f32>(f32x4.splat(softcap), tanh4(v128.mul<f32>(scaled, f32x4.splat(1 / softcap))));
}

/** The derivative of a score by q·k. */
// @inline
function scoreSlope(score: v128): v128 {
  const plain = f32x4.splat(scale);
  if (softcap == 0) return plain;
  const bent = v128.mul<f32>(score, f32x4.splat(1 / softcap));
  return v128.mul<f32>(plain, v128.sub<f32>(f32x4.splat(1), v128.mul<f32>(bent, bent)));
}

/**
 * Turns scores of one row into weights e^(s − top) with a growing top, and scales what was summed under the old one.
 */
function softmaxRow(r: i32, first: i32, count: i32): void {
  const state = scratch + ((<usize>r) << 2);
  const row = scratch + SCORES + <usize>r * ROW;
  const from = load<i32>(state + STARTS) - first,
    to = load<i32>(state + ENDS) - first;
  // Only vectors with a visible key are worked on; the weights of the others are zero.
  const begin = max(0, from) & ~3,
    end = (min(count, to) + 3) & ~3;
  const padded = (count + 3) & ~3;
  if (begin >= end) {
    memory.fill(row, 0, (<usize>padded) << 2);
    return;
  }
  const start4 = i32x4.splat(from),
    end4 = i32x4.splat(to);
  const hidden = f32x4.splat(-Infinity);
  let top4 = hidden;
  for (let j = begin; j < end; j += 4) {
    const at = row + ((<usize>j) << 2);
    const s = v128.bitselect(scored(v128.load(at)), hidden, visible(j, start4, end4));
    v128.store(at, s);
    top4 = v128.max<f32>(top4, s);
  }
  for (let j = 0; j < begin; j += 4) v128.store(row + ((<usize>j) << 2), f32x4.splat(0));
  for (let j = end; j < padded; j += 4) v128.store(row + ((<usize>j) << 2), f32x4.splat(0));
  const before = load<f32>(state + TOPS);
  const top = max(before, max4(top4));
  if (top == -Infinity) {
    // Every visible score is −∞.
    memory.fill(row, 0, (<usize>padded) << 2);
    return;
  }
  const sums = scratch + SUMS + ((<usize>r) << 3);
  if (top != before) {
    const shrink = exp1(before - top);
    store<f64>(sums, load<f64>(sums) * <f64>shrink);
    const shrink4 = f32x4.splat(shrink);
    const out = scratch + OUTPUT + ((<usize>(r * size)) << 2);
    const bytes = (<usize>size) << 2;
    let i: usize = 0;
    for (; i + 16 <= bytes; i += 16) v128.store(out + i, v128.mul<f32>(v128.load(out + i), shrink4));
    for (; i < bytes; i += 4) store<f32>(out + i, load<f32>(out + i) * shrink);
    store<f32>(state + TOPS, top);
  }
  const now = f32x4.splat(top);
  let sum = f32x4.splat(0);
  for (let j = begin; j < end; j += 4) {
    const at = row + ((<usize>j) << 2);
    const e = exp4(v128.sub<f32>(v128.load(at), now));
    v128.store(at, e);
    sum = v128.add<f32>(sum, e);
  }
  store<f64>(sums, load<f64>(sums) + <f64>sum4(sum));
}

/**
 * Where `count` rows of keys or values lie in f32 from element `from` on: in memory, or, where they are f16, in the
 * scratch memory that only the backward pass takes otherwise, one row after another.
 */
function readable(base: usize, from: i32, count: i32): usize {
  if (halves == 0) return base + ((<usize>from) << 2);
  let to = scratch + OUTPUT2;
  const whole = size & ~3;
  for (let j = 0; j < count; j++) {
    const row = from + j * keyStride;
    let i = 0;
    for (; i < whole; i += 4) v128.store(to + ((<usize>i) << 2), load4<i16>(base, row + i));
    for (; i < size; i++) store<f32>(to + ((<usize>i) << 2), load1<i16>(base, row + i));
    to += (<usize>size) << 2;
  }
  return scratch + OUTPUT2;
}

/** attention: a unit is a block of at most 48 rows of one group of heads. */
export function attention(p: usize, begin: i32, end: i32): void {
  enter(p);
  const blocks = (queries + span - 1) / span;
  for (let unit = begin; unit < end; unit++) {
    const b = unit / (blocks * groups);
    const groupIndex = (unit / blocks) % groups;
    const first = (unit % blocks) * span;
    const count = min(span, queries - first);
    const rows = count * group;
    bounds(b, first, count);
    for (let r = 0; r < rows; r++) {
      store<f32>(scratch + TOPS + ((<usize>r) << 2), -Infinity);
      store<f64>(scratch + SUMS + ((<usize>r) << 3), 0);
    }
    memory.fill(scratch + OUTPUT, 0, (<usize>(rows * size)) << 2);
    const place = placeOf(b, groupIndex, first);
    copyRows(q, place, count, scratch + QUERY_ROWS);
    const keyHead = (groupIndex * group * keyHeads) / heads;
    for (let key = low; key < high; key += KEYS) {
      const width = min(KEYS, high - key);
      const from = ((b * keys + key) * keyHeads + keyHead) * size;
      const stride = halves ? size : keyStride;
      scores(scratch + QUERY_ROWS, size, rows, readable(k, from, width), stride, width, scratch + SCORES);
      for (let r = 0; r < rows; r++) softmaxRow(r, key, width);
      accumulate(scratch + SCORES, rows, readable(v, from, width), stride, width, scratch + OUTPUT);
    }
    for (let r = 0; r < rows; r++) {
      const total = load<f64>(scratch + SUMS + ((<usize>r) << 3));
      const factor = total == 0 ? <f32>0 : <f32>(1 / total);
      const out = load<usize>(p, 20) + ((<usize>(place + (r / group) * queryStride + (r % group) * size)) << 2);
      const from = scratch + OUTPUT + ((<usize>(r * size)) << 2);
      for (let i: usize = 0; i < (<usize>size) << 2; i += 4) store<f32>(out + i, load<f32>(from + i) * factor);
      const top = load<f32>(scratch + TOPS + ((<usize>r) << 2));
      store<f32>(
        load<usize>(p, 24) + ((<usize>lineOf(b, groupIndex, first, r)) << 2),
        total == 0 ? -Infinity : top + log1(<f32>total),
      );
    }
  }
}

/** attentionBackwardQuery: dq and δ = Σ g·o. Units as of `attention`. */
export function attentionBackwardQuery(p: usize, begin: i32, end: i32): void {
  enter(p);
  const o = load<usize>(p, 20);
  const blocks = (queries + span - 1) / span;
  for (let unit = begin; unit < end; unit++) {
    const b = unit / (blocks * groups);
    const groupIndex = (unit / blocks) % groups;
    const first = (unit % blocks) * span;
    const count = min(span, queries - first);
    const rows = count * group;
    const place = placeOf(b, groupIndex, first);
    const keyHead = (groupIndex * group * keyHeads) / heads;
    bounds(b, first, count);
    copyRows(q, place, count, scratch + QUERY_ROWS);
    copyRows(g, place, count, scratch + GRADIENT_ROWS);
    for (let r = 0; r < rows; r++) {
      const from = o + ((<usize>(place + (r / group) * queryStride + (r % group) * size)) << 2);
      const gradient = scratch + GRADIENT_ROWS + ((<usize>(r * size)) << 2);
      let delta: f64 = 0;
      for (let i: usize = 0; i < (<usize>size) << 2; i += 4)
        delta += <f64>load<f32>(gradient + i) * <f64>load<f32>(from + i);
      const line = (<usize>lineOf(b, groupIndex, first, r)) << 2;
      store<f32>(scratch + DELTAS + ((<usize>r) << 2), <f32>delta);
      store<f32>(load<usize>(p, 88) + line, <f32>delta);
      store<f32>(scratch + TOPS + ((<usize>r) << 2), load<f32>(load<usize>(p, 24) + line));
    }
    memory.fill(scratch + OUTPUT, 0, (<usize>(rows * size)) << 2);
    for (let key = low; key < high; key += KEYS) {
      const width = min(KEYS, high - key);
      const offset = (<usize>(((b * keys + key) * keyHeads + keyHead) * size)) << 2;
      scores(scratch + QUERY_ROWS, size, rows, k + offset, keyStride, width, scratch + SCORES);
      scores(scratch + GRADIENT_ROWS, size, rows, v + offset, keyStride, width, scratch + SLOPES);
      for (let r = 0; r < rows; r++) {
        const state = scratch + ((<usize>r) << 2);
        const from = i32x4.splat(load<i32>(state + STARTS) - key),
          to = i32x4.splat(load<i32>(state + ENDS) - key);
        const total = v128.load_splat<f32>(state + TOPS);
        const delta = v128.load_splat<f32>(state + DELTAS);
        const row = scratch + SCORES + <usize>r * ROW;
        for (let j = 0; j < width; j += 4) {
          const at = row + ((<usize>j) << 2);
          const seen = visible(j, from, to);
          if (!v128.any_true(seen)) {
            v128.store(at, seen);
            continue;
          }
          const score = scored(v128.load(at));
          const weight = exp4(v128.sub<f32>(score, total));
          const slope = v128.mul<f32>(
            v128.mul<f32>(weight, v128.sub<f32>(v128.load(at + SLOPES - SCORES), delta)),
            scoreSlope(score),
          );
          v128.store(at, v128.and(slope, seen));
        }
      }
      accumulate(scratch + SCORES, rows, k + offset, keyStride, width, scratch + OUTPUT);
    }
    const bytes = (<usize>(group * size)) << 2;
    for (let i = 0; i < count; i++)
      memory.copy(
        load<usize>(p, 76) + ((<usize>(place + i * queryStride)) << 2),
        scratch + OUTPUT + <usize>i * bytes,
        bytes,
      );
  }
}

/**
 * attentionBackwardKey: dk and dv, after δ. A unit is a block of 64 keys of one key head; the rows that see them are
 * added up in order, whatever the threads.
 */
export function attentionBackwardKey(p: usize, begin: i32, end: i32): void {
  enter(p);
  const blocks = (keys + KEYS - 1) / KEYS;
  const groupsPerKeyHead = groups / keyHeads;
  for (let unit = begin; unit < end; unit++) {
    const b = unit / (blocks * keyHeads);
    const keyHead = (unit / blocks) % keyHeads;
    const key = (unit % blocks) * KEYS;
    const width = min(KEYS, keys - key);
    const bytes = (<usize>size) << 2;
    memory.fill(scratch + OUTPUT, 0, <usize>width * bytes);
    memory.fill(scratch + OUTPUT2, 0, <usize>width * bytes);
    for (let first = 0; first < queries; first += span) {
      const count = min(span, queries - first);
      bounds(b, first, count);
      // Of this block only the keys that one of these queries sees.
      const start = max(key, low),
        stop = min(key + width, high);
      if (start >= stop) continue;
      for (let i = 0; i < groupsPerKeyHead; i++)
        addKeyGradients(p, b, keyHead * groupsPerKeyHead + i, keyHead, first, count, key, start, stop - start);
    }
    const place = <usize>((b * keys + key) * keyHeads + keyHead) * bytes;
    for (let j = 0; j < width; j++) {
      const row = place + ((<usize>(j * keyStride)) << 2);
      memory.copy(load<usize>(p, 84) + row, scratch + OUTPUT + <usize>j * bytes, bytes);
      memory.copy(load<usize>(p, 80) + row, scratch + OUTPUT2 + <usize>j * bytes, bytes);
    }
  }
}

/**
 * What `count` queries of a group of heads give to `width` keys from `start`, in a block of keys that begins at `key`.
 */
function addKeyGradients(
  p: usize,
  b: i32,
  groupIndex: i32,
  keyHead: i32,
  first: i32,
  count: i32,
  key: i32,
  start: i32,
  width: i32,
): void {
  const rows = count * group;
  const place = placeOf(b, groupIndex, first);
  copyRows(q, place, count, scratch + QUERY_ROWS);
  copyRows(g, place, count, scratch + GRADIENT_ROWS);
  for (let r = 0; r < rows; r++) {
    const line = (<usize>lineOf(b, groupIndex, first, r)) << 2;
    store<f32>(scratch + TOPS + ((<usize>r) << 2), load<f32>(load<usize>(p, 24) + line));
    store<f32>(scratch + DELTAS + ((<usize>r) << 2), load<f32>(load<usize>(p, 88) + line));
  }
  const offset = (<usize>(((b * keys + start) * keyHeads + keyHead) * size)) << 2;
  scores(k + offset, keyStride, width, scratch + QUERY_ROWS, size, rows, scratch + SCORES);
  scores(v + offset, keyStride, width, scratch + GRADIENT_ROWS, size, rows, scratch + SLOPES);
  for (let j = 0; j < width; j++) {
    const own = i32x4.splat(start + j);
    const row = scratch + SCORES + <usize>j * ROW;
    for (let i: usize = 0; i < (<usize>rows) << 2; i += 16) {
      const seen = v128.and(
        v128.le<i32>(v128.load(scratch + STARTS + i), own),
        v128.gt<i32>(v128.load(scratch + ENDS + i), own),
      );
      if (!v128.any_true(seen)) {
        v128.store(row + i, seen);
        v128.store(row + i + SLOPES - SCORES, seen);
        continue;
      }
      const score = scored(v128.load(row + i));
      const weight = v128.and(exp4(v128.sub<f32>(score, v128.load(scratch + TOPS + i))), seen);
      const slope = v128.mul<f32>(
        v128.mul<f32>(weight, v128.sub<f32>(v128.load(row + i + SLOPES - SCORES), v128.load(scratch + DELTAS + i))),
        scoreSlope(score),
      );
      v128.store(row + i, weight);
      v128.store(row + i + SLOPES - SCORES, v128.and(slope, seen));
    }
  }
  const to = (<usize>((start - key) * size)) << 2;
  accumulate(scratch + SCORES, width, scratch + GRADIENT_ROWS, size, rows, scratch + OUTPUT + to);
  accumulate(scratch + SLOPES, width, scratch + QUERY_ROWS, size, rows, scratch + OUTPUT2 + to);
}
