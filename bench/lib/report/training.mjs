import { megabytes, number, quartiles, spread, table } from './table.mjs';

export function renderTraining({ workload, results, pytorch, overhead }, matmul) {
  return [
    renderSteps({ workload, results, pytorch }, matmul),
    renderPlans(results),
    ...(overhead.length > 0 ? [renderOverhead(overhead)] : []),
  ];
}

const stepsHead = [
  'device',
  'ms/step',
  'quartiles',
  'in flight',
  'tokens/s',
  'GFLOP/s',
  'matmul probe',
  'of it',
  'steps',
  'first loss',
  'time / PyTorch’s',
];

function renderSteps({ workload, results, pytorch }, matmul) {
  const probeOf = (id) => matmul?.results.find(({ who, case: name }) => who === id && name === '512³ NN')?.gflops;
  const [torch] = pytorch;
  return [
    `Training: ${workload.name}, LoRA r=${workload.r} on ${workload.targetModules}, batches of ` +
      `${workload.batchSize} rows`,
    table([
      stepsHead,
      ...results.map((result) => ourSteps(result, probeOf(result.device))),
      ...pytorch.map(theirSteps),
    ]),
    ...(torch === undefined ? [] : [`PyTorch: torch ${torch.torch}, ${torch.library}`]),
  ].join('\n');
}

function ourSteps(result, probe) {
  const { device, msPerStep, msPipelined, tokensPerSecond, gflops, firstLoss, againstPytorch, steps } = result;
  return [
    device,
    number(msPerStep.median),
    quartiles(msPerStep),
    number(msPipelined),
    number(tokensPerSecond, 0),
    number(gflops),
    probe === undefined ? 'not run' : number(probe),
    probe === undefined ? '–' : `${number((100 * gflops) / probe, 0)}%`,
    String(steps),
    number(firstLoss, 5),
    againstPytorch === undefined ? 'not run' : `${spread(againstPytorch)} of ${againstPytorch.threads} thr.`,
  ];
}

function theirSteps({ threads, msPerStep, tokensPerSecond, firstLoss }) {
  const name = `PyTorch ${threads} thr.`;
  const times = [number(msPerStep.median), quartiles(msPerStep), '', number(tokensPerSecond, 0)];
  return [name, ...times, '', '', '', '', number(firstLoss, 5), ''];
}

const plansHead = [
  'device',
  'batch',
  'steps',
  'GFLOP',
  'intermediates',
  'persistent',
  'peak memory',
  'trace + plan',
  'prepare',
  'plans',
];

function renderPlans(results) {
  const rows = results.map(({ device, plan, memory, compile }) => [
    device,
    plan.shape,
    String(plan.steps),
    number(plan.flops / 1e9, 2),
    megabytes(plan.arenaBytes),
    megabytes(plan.sourceBytes),
    megabytes(memory.peakBytes),
    `${number(compile.traceAndPlan, 0)} ms`,
    `${number(compile.prepare, 0)} ms`,
    String(compile.plans),
  ]);
  return ['Plans and memory (the largest batch)', table([plansHead, ...rows])].join('\n');
}

function renderOverhead(overhead) {
  const head = ['device', 'base forward ms', 'with LoRA ms', 'time', 'FLOPs', 'whole step / base forward', 'FLOPs'];
  const rows = overhead.map((one) => [
    one.device,
    number(one.msBaseForward),
    number(one.msAdaptedForward),
    spread(one.forward),
    number(one.forwardFlops, 3),
    spread(one.step),
    number(one.stepFlops, 2),
  ]);
  return ["LoRA's overhead over the frozen base, first batch", table([head, ...rows])].join('\n');
}
