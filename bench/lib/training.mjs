import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPython, runPytorch } from './pytorch.mjs';
import { openSession } from './session.mjs';
import { interleave, median, ratioOf, summarize, timed } from './statistics.mjs';
import { batchesOf, findWorkload, recipe } from './workload.mjs';

/** Steps before the clock starts; pytorchStep.py's default. */
const warmup = 3;

/**
 * A LoRA step on each device and in PyTorch, in turns: each round runs the same steps on the same rows on every
 * contender.
 *
 * @param {object} options
 * @param {import('./devices.mjs').Device[]} options.devices
 * @param {number} options.rounds
 * @param {number} options.steps measured steps of a round
 * @param {number} options.secondsPerDevice a device that would take longer runs fewer steps
 * @param {ReadonlySet<string>} options.parts of `pytorch` and `overhead`
 * @param {(text: string) => void} options.log
 */
export async function runTraining({ devices, rounds, steps, secondsPerDevice, parts, log }) {
  const workload = await findWorkload();
  if ('reason' in workload)
    return {
      workload: undefined,
      results: [],
      pytorch: [],
      overhead: [],
      notRun: [{ what: 'training, PyTorch', reason: workload.reason }],
      failed: [],
    };
  const batches = batchesOf(workload, warmup + steps);
  const notRun = [];
  const failed = [];
  const ours = [];
  for (const device of devices) {
    log(`training on ${device.id}: loading and compiling …`);
    try {
      ours.push(await openContender({ device, workload, batches, budget: (secondsPerDevice * 1000) / rounds }));
    } catch (error) {
      failed.push({ what: `training on ${device.id}`, error });
    }
  }
  const theirs = await openPytorch({ workload, steps, devices, wanted: parts.has('pytorch'), notRun });
  try {
    const contenders = [...ours, ...theirs.contenders].map(({ name, round }) => ({
      name,
      run: () => {
        log(`training on ${name} …`);
        return round();
      },
    }));
    const measured = await interleave(contenders, { rounds });
    const results = ours.map((contender) => describeOurs(contender, measured[contender.name]));
    const torch = theirs.contenders.map((contender) => describePytorch(contender, measured[contender.name]));
    failed.push(...differingLosses(results, torch));
    for (const result of results) result.againstPytorch = compare(result, torch);
    const overhead = [];
    for (const contender of parts.has('overhead') ? ours : []) {
      log(`LoRA's overhead on ${contender.name} …`);
      overhead.push(await measureOverhead(contender, batches[0], contender.slow ? 1 : 5 * rounds));
    }
    return {
      workload: { name: workload.name, ...recipe, warmup, rounds },
      results,
      pytorch: torch,
      overhead,
      notRun,
      failed,
    };
  } finally {
    for (const { session } of ours) await session.dispose();
    theirs.dispose();
  }
}

async function openContender({ device, workload, batches: all, budget }) {
  // A software adapter takes a minute to prepare each shape: it gets one.
  const batches = device.software ? all.slice(0, 1) : all;
  const session = await openSession(device, workload, batches);
  const firstLoss = await session.step(batches[0]);
  const once = await timed(() => session.step(batches[1] ?? batches[0]))();
  const affordable = Math.floor(budget / once);
  const skipped = batches.length > warmup && affordable >= batches.length ? warmup : 0;
  const measured = batches.slice(skipped, Math.max(skipped + 1, Math.min(batches.length, affordable)));
  const round = async () => {
    for (const batch of batches.slice(0, skipped)) await session.step(batch);
    const times = [];
    for (const batch of measured) times.push(await timed(() => session.step(batch))());
    const whole =
      device.kind === 'webgpu' && skipped > 0 ? await timed(() => session.pipelined(measured))() : undefined;
    return { times, pipelined: whole === undefined ? undefined : whole / measured.length };
  };
  return { name: device.id, device, session, measured, firstLoss, round, slow: skipped === 0 };
}

async function openPytorch({ workload, steps, devices, wanted, notRun }) {
  const nothing = { contenders: [], dispose: () => undefined };
  if (!wanted) return nothing;
  const found = await findPython();
  if ('reason' in found) {
    notRun.push({ what: 'PyTorch', reason: found.reason });
    return nothing;
  }
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-bench-'));
  const tokens = join(folder, 'rows.json');
  writeFileSync(
    tokens,
    JSON.stringify(workload.rows.map(({ ids, labels }) => ({ ids: [...ids], labels: [...labels] }))),
  );
  const counts = devices.flatMap(({ kind, threads }) => (kind === 'cpu' ? [threads] : []));
  const contenders = (counts.length > 0 ? counts : [1, 2]).map((threads) => ({
    name: `pytorch-${threads}`,
    threads,
    round: () =>
      runPytorch({
        python: found.python,
        model: workload.model,
        tokens,
        batchSize: recipe.batchSize,
        r: recipe.r,
        steps,
        warmup,
        threads,
      }),
  }));
  return { contenders, dispose: () => rmSync(folder, { recursive: true, force: true }) };
}

function describeOurs({ device, session, measured, firstLoss }, rounds) {
  const times = rounds.flatMap((round) => round.times);
  const costs = measured.map(session.cost);
  const largest = costs.reduce((a, b) => (b.flops > a.flops ? b : a));
  const total = (values) => values.reduce((sum, value) => sum + value, 0);
  const pipelined = rounds.flatMap((round) => round.pipelined ?? []);
  return {
    device: device.id,
    threads: device.threads,
    msPerStep: summarize(times),
    // One median for each round, as PyTorch gives: what ratios are made of.
    msByRound: rounds.map((round) => median(round.times)),
    msPipelined: pipelined.length === 0 ? undefined : median(pipelined),
    tokensPerSecond: (total(measured.map(({ tokens }) => tokens)) * rounds.length * 1000) / total(times),
    gflops: median(rounds.flatMap((round) => round.times.map((time, at) => (costs[at]?.flops ?? NaN) / time / 1e6))),
    firstLoss,
    compile: session.compile,
    plan: { ...largest, shape: measured.map(({ batch, length }) => `${batch}×${length}`)[costs.indexOf(largest)] },
    memory: session.memory(),
    steps: times.length,
  };
}

function describePytorch({ threads }, rounds) {
  const { torch, library } = rounds[0];
  return {
    threads,
    msPerStep: summarize(rounds.map((round) => round.ms_per_step)),
    msByRound: rounds.map((round) => round.ms_per_step),
    tokensPerSecond: median(rounds.map((round) => round.tokens_per_second)),
    firstLoss: rounds[0].first_loss,
    torch,
    library,
  };
}

/**
 * B is zero in a new adapter: everybody's first loss is the base model's on the first batch, or they do not train the
 * same.
 */
function differingLosses(results, torch) {
  const all = [
    ...results.map(({ device, firstLoss }) => [device, firstLoss]),
    ...torch.map(({ threads, firstLoss }) => [`pytorch-${threads}`, firstLoss]),
  ];
  const expected = torch[0]?.firstLoss ?? results[0]?.firstLoss ?? 0;
  return all
    .filter(([, loss]) => !(Math.abs(loss - expected) <= 1e-3 * Math.abs(expected)))
    .map(([who, loss]) => ({
      what: `training on ${who}`,
      error: new Error(`the first loss is ${loss}, expected ${expected}: not the same training`),
    }));
}

/** Against PyTorch at as many threads; a GPU against PyTorch at most threads. Below 1 where ours is faster. */
function compare({ threads, msByRound }, torch) {
  const other = threads === undefined ? torch.at(-1) : torch.find((one) => one.threads === threads);
  return other === undefined ? undefined : { threads: other.threads, ...ratioOf(other.msByRound, msByRound) };
}

/** The loss with the adapter and of the frozen base, in turns; and a whole step in units of the base's forward. */
async function measureOverhead({ name, session }, batch, rounds) {
  const forward = await session.forward();
  try {
    await forward.base(batch);
    await forward.adapted(batch);
    const step = { name: 'step', run: timed(() => session.step(batch)) };
    const contenders = [
      { name: 'base', run: timed(() => forward.base(batch)) },
      { name: 'adapted', run: timed(() => forward.adapted(batch)) },
      step,
    ];
    const times = await interleave(contenders, { rounds });
    return {
      device: name,
      msBaseForward: median(times.base),
      msAdaptedForward: median(times.adapted),
      forward: ratioOf(times.base, times.adapted),
      forwardFlops: forward.flops.adapted / forward.flops.base,
      step: ratioOf(times.base, times.step),
      stepFlops: session.cost(batch).flops / forward.flops.base,
    };
  } finally {
    await forward.dispose();
  }
}
