/** The WebAssembly module: dispatch of a plan's records, alone or together with other threads on the same memory. */
import { adamw8bit } from './adamw8bit';
import { attention, attentionBackwardKey, attentionBackwardQuery } from './attention';
import { setScratch } from './common';
import { adamw, cast, copyStrided, fill, gatherRows, random, scatterAddRows, writeAt } from './data';
import { elementwise } from './elementwise';
import { decodeMatrix } from './encoded';
import { KernelId } from '../kernelIds';
import { layerNorm, layerNormBackward, layerNormWeightGradient } from './layerNorm';
import { gemm, gemv, packB } from './matmul';
import { product, thin } from './product';
import {
  argmax,
  crossEntropyRows,
  maxRows,
  partialSums,
  reduceColumns,
  rmsNorm,
  rmsNormBackward,
  rmsNormWeightGradient,
  rope,
  sumPartials,
  sumRows,
  swiglu,
  swigluBackward,
} from './rows';
import { sampleThreshold } from './sampleThreshold';

/**
 * Runs units [begin, end) of one kernel. Every kernel has this signature: parameters in memory, a range of independent
 * units.
 */
function launch(kernel: i32, params: usize, begin: i32, end: i32): void {
  switch (kernel) {
    case KernelId.packB:
      packB(params, begin, end);
      break;
    case KernelId.gemm:
      gemm(params, begin, end);
      break;
    case KernelId.product:
      product(params, begin, end);
      break;
    case KernelId.thin:
      thin(params, begin, end);
      break;
    case KernelId.gemv:
      gemv(params, begin, end);
      break;
    case KernelId.elementwise:
      elementwise(params, begin, end);
      break;
    case KernelId.attention:
      attention(params, begin, end);
      break;
    case KernelId.attentionBackwardQuery:
      attentionBackwardQuery(params, begin, end);
      break;
    case KernelId.attentionBackwardKey:
      attentionBackwardKey(params, begin, end);
      break;
    case KernelId.rmsNorm:
      rmsNorm(params, begin, end);
      break;
    case KernelId.rmsNormBackward:
      rmsNormBackward(params, begin, end);
      break;
    case KernelId.rmsNormWeightGradient:
      rmsNormWeightGradient(params, begin, end);
      break;
    case KernelId.layerNorm:
      layerNorm(params, begin, end);
      break;
    case KernelId.layerNormBackward:
      layerNormBackward(params, begin, end);
      break;
    case KernelId.layerNormWeightGradient:
      layerNormWeightGradient(params, begin, end);
      break;
    case KernelId.rope:
      rope(params, begin, end);
      break;
    case KernelId.swiglu:
      swiglu(params, begin, end);
      break;
    case KernelId.swigluBackward:
      swigluBackward(params, begin, end);
      break;
    case KernelId.crossEntropyRows:
      crossEntropyRows(params, begin, end);
      break;
    case KernelId.adamw:
      adamw(params, begin, end);
      break;
    case KernelId.adamw8bit:
      adamw8bit(params, begin, end);
      break;
    case KernelId.sumRows:
      sumRows(params, begin, end);
      break;
    case KernelId.reduceColumns:
      reduceColumns(params, begin, end);
      break;
    case KernelId.maxRows:
      maxRows(params, begin, end);
      break;
    case KernelId.partialSums:
      partialSums(params, begin, end);
      break;
    case KernelId.sumPartials:
      sumPartials(params, begin, end);
      break;
    case KernelId.gatherRows:
      gatherRows(params, begin, end);
      break;
    case KernelId.scatterAddRows:
      scatterAddRows(params, begin, end);
      break;
    case KernelId.writeAt:
      writeAt(params, begin, end);
      break;
    case KernelId.copyStrided:
      copyStrided(params, begin, end);
      break;
    case KernelId.fill:
      fill(params, begin, end);
      break;
    case KernelId.cast:
      cast(params, begin, end);
      break;
    case KernelId.random:
      random(params, begin, end);
      break;
    case KernelId.argmax:
      argmax(params, begin, end);
      break;
    case KernelId.sampleThreshold:
      sampleThreshold(params, begin, end);
      break;
    case KernelId.decodeMatrix:
      decodeMatrix(params, begin, end);
      break;
    default:
      unreachable();
  }
}

/** Tells this instance where its own scratch memory lies. */
export function init(scratch: usize): void {
  setScratch(scratch);
}

/*
 * A record, in 32-bit words: kernel, parameters, units, grain (units taken at once), next (the first unit not taken),
 * done (units finished).
 */
const RECORD: usize = 24;
const NEXT: usize = 16;
const DONE: usize = 20;

/*
 * The control block, in 32-bit words: epoch, open (whether the run may be joined), entered, records, count, sleepers,
 * stop, failed (a thread has broken down in mid-run), pages (of the memory), and what pool.ts alone reads.
 */
const OPEN: usize = 4;
const ENTERED: usize = 8;
const RECORDS: usize = 12;
const COUNT: usize = 16;
const SLEEPERS: usize = 20;
const STOP: usize = 24;
const FAILED: usize = 28;
const PAGES: usize = 32;

/** Looks this often before it sleeps: about 20 µs. */
const SPINS: i32 = 4000;

/** How a run ends: pool.ts knows these numbers. */
const FINISHED: i32 = 0;
/** Nothing has moved for half a second: JavaScript may look whether all workers are alive, and call `rejoin`. */
const STALLED: i32 = 1;
const BROKEN: i32 = 2;

/** Rounds of waiting, of 1 ms asleep or 20 µs awake, that make about half a second. */
const ASLEEP_ROUNDS: i32 = 500;
const AWAKE_ROUNDS: i32 = 25000;

function walk(control: usize, records: usize, count: i32, maySleep: bool, rounds: i32): i32 {
  for (let i = 0; i < count; i++) {
    const kernel = load<i32>(records),
      params = load<usize>(records, 4);
    const units = load<i32>(records, 8),
      grain = load<i32>(records, 12);
    while (true) {
      if (atomic.load<i32>(records, NEXT) >= units) break;
      const begin = atomic.add<i32>(records, grain, NEXT);
      if (begin >= units) break;
      const end = min(begin + grain, units);
      launch(kernel, params, begin, end);
      const done = atomic.add<i32>(records, end - begin, DONE) + end - begin;
      if (done == units && atomic.load<i32>(control, SLEEPERS) > 0) atomic.notify(records + DONE, -1);
    }
    let spins = 0;
    let round = 0;
    while (true) {
      const done = atomic.load<i32>(records, DONE);
      if (done >= units) break;
      if (++spins < SPINS) continue;
      if (atomic.load<i32>(control, FAILED) != 0) return BROKEN;
      if (++round == rounds) return STALLED;
      if (!maySleep) {
        spins = 0;
        continue;
      }
      atomic.add<i32>(control, 1, SLEEPERS);
      atomic.wait<i32>(records + DONE, done, 1000000);
      atomic.sub<i32>(control, 1, SLEEPERS);
    }
    records += RECORD;
  }
  return FINISHED;
}

/** Runs records on this thread alone. */
export function runAlone(records: usize, count: i32): void {
  for (let i = 0; i < count; i++) {
    launch(load<i32>(records), load<usize>(records, 4), 0, load<i32>(records, 8));
    records += RECORD;
  }
}

/**
 * Runs records together with the workers that join; returns when all is done and every worker has left, or with
 * STALLED or BROKEN.
 */
export function runTogether(control: usize, records: usize, count: i32, maySleep: bool): i32 {
  for (let i = 0; i < count; i++) {
    store<i32>(records + <usize>i * RECORD, 0, NEXT);
    store<i32>(records + <usize>i * RECORD, 0, DONE);
  }
  store<usize>(control, records, RECORDS);
  store<i32>(control, count, COUNT);
  store<i32>(control, memory.size(), PAGES);
  const epoch = atomic.load<i32>(control) + 1;
  atomic.store<i32>(control, 1, OPEN);
  atomic.store<i32>(control, epoch);
  atomic.notify(control, -1);
  return rejoin(control, records, count, maySleep);
}

/** Goes on with a run that has stalled. */
export function rejoin(control: usize, records: usize, count: i32, maySleep: bool): i32 {
  const rounds = maySleep ? ASLEEP_ROUNDS : AWAKE_ROUNDS;
  const state = walk(control, records, count, maySleep, rounds);
  if (state != FINISHED) return state;
  atomic.store<i32>(control, 0, OPEN);
  let spins = 0;
  let round = 0;
  while (true) {
    const entered = atomic.load<i32>(control, ENTERED);
    if (entered == 0) return FINISHED;
    if (++spins < SPINS) continue;
    if (atomic.load<i32>(control, FAILED) != 0) return BROKEN;
    if (++round == rounds) return STALLED;
    // A worker that leaves may have lost its core to another process: do not keep it from getting one back.
    if (maySleep) atomic.wait<i32>(control + ENTERED, entered, 100000);
    else spins = 0;
  }
}

/** A worker's whole life: joins every run until it has to stop. */
export function work(control: usize): void {
  let seen = 0;
  while (atomic.load<i32>(control, STOP) == 0) {
    const epoch = atomic.load<i32>(control);
    if (epoch == seen) {
      let spins = 0;
      while (spins < SPINS && atomic.load<i32>(control) == seen) spins++;
      if (atomic.load<i32>(control) == seen) atomic.wait<i32>(control, seen, 1000000000);
      continue;
    }
    seen = epoch;
    atomic.add<i32>(control, 1, ENTERED);
    if (atomic.load<i32>(control, OPEN) != 0) {
      // V8 tells no thread of a growth that falls into the moment in which the thread is given the memory: it would go
      // by the old size in atomic operations and memory.copy, and trap. Growing by nothing makes it look.
      if (memory.size() < load<i32>(control, PAGES)) memory.grow(0);
      walk(control, load<usize>(control, RECORDS), load<i32>(control, COUNT), true, -1);
    }
    atomic.sub<i32>(control, 1, ENTERED);
  }
}
