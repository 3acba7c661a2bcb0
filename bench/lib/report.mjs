/**
 * The run as text for people. Numbers that were not measured are not made up: what was not run is named with its
 * reason.
 */

/**
 * Columns padded to their widest cell: the first to the left, numbers to the right.
 *
 * @param {readonly (readonly string[])[]} lines the first is the head
 */
export function table(lines) {
  const width = (column) => Math.max(...lines.map((line) => (line[column] ?? '').length));
  const widths = (lines[0] ?? []).map((_, column) => width(column));
  const pad = (text, column) => {
    const gap = ' '.repeat((widths[column] ?? 0) - text.length);
    return column === 0 ? text + gap : gap + text;
  };
  const text = lines.map((line) => line.map(pad).join('  ').trimEnd());
  return [text[0], widths.map((count) => '-'.repeat(count)).join('  '), ...text.slice(1)].join('\n');
}

const number = (value, digits = 1) => (value === undefined || Number.isNaN(value) ? '–' : value.toFixed(digits));
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const spread = ({ ratio, low, high }) => `${number(ratio, 2)} [${number(low, 2)}–${number(high, 2)}]`;

/** @param {import('../run.mjs').Report} report */
export function render(report) {
  const { command, machine, versions, devices, matmul, training, quantized, serving, notRun, failed } = report;
  const parts = [
    [
      `command   ${command}`,
      `machine   ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.platform}, load ` +
        `${machine.loadAverage} at the start`,
      `versions  Node ${versions.node}, Lowrank ${versions.lowrank}, jax-js ${versions.jaxJs}, Dawn (npm ` +
        `webgpu) ${versions.webgpu}`,
      ...devices.map(({ id, description }, at) => `${at === 0 ? 'devices ' : '        '}  ${id}: ${description}`),
    ].join('\n'),
    ...(matmul === undefined ? [] : [renderMatmul(matmul)]),
    ...(training?.workload === undefined ? [] : renderTraining(training, matmul)),
    ...(quantized === undefined ? [] : renderQuantized(quantized)),
    ...(serving === undefined ? [] : renderServing(serving)),
    ...(notRun.length === 0 ? [] : [notRun.map(({ what, reason }) => `not run: ${what}: ${reason}`).join('\n')]),
    ...(failed.length === 0 ? [] : [failed.map(({ what, message }) => `FAILED: ${what}: ${message}`).join('\n')]),
  ];
  return parts.join('\n\n');
}

function renderMatmul({ results }) {
  const rows = results.map(({ case: name, size: [m, k, n], who, gflops, bestGflops, ms, againstPeer }) => [
    name,
    `${m}×${k}×${n}`,
    who,
    number(gflops),
    number(bestGflops),
    number(ms.median, 3),
    String(ms.count),
    againstPeer === undefined ? '' : spread(againstPeer),
    againstPeer?.byCpuTime === undefined ? '' : number(againstPeer.byCpuTime, 2),
  ]);
  const claim = results.filter(
    ({ who, case: name, againstPeer }) => who === 'cpu-1' && name.startsWith('512³') && againstPeer !== undefined,
  );
  const verdict = claim
    .map(
      ({ form, againstPeer: { ratio, byCpuTime } }) =>
        `${form} ${number(ratio, 2)}× (${number(byCpuTime, 2)}× by CPU time)`,
    )
    .join(', ');
  return [
    'Matmul, f32. × jax-js: their time over ours in the same rounds, above 1 where ours is faster [quartiles ' +
      'of the rounds]',
    table([['case', 'M×K×N', 'who', 'GFLOP/s', 'best', 'ms', 'rounds', '× jax-js', 'by CPU time'], ...rows]),
    ...(claim.length === 0 ? [] : [`one core against jax-js's Wasm at 512³ (wanted: 2× for each): ${verdict}`]),
  ].join('\n');
}

function renderTraining({ workload, results, pytorch, overhead }, matmul) {
  const probeOf = (id) => matmul?.results.find(({ who, case: name }) => who === id && name === '512³ NN')?.gflops;
  const ours = results.map(
    ({ device, msPerStep, msPipelined, tokensPerSecond, gflops, firstLoss, againstPytorch, steps }) => {
      const probe = probeOf(device);
      return [
        device,
        number(msPerStep.median),
        `${number(msPerStep.low)}–${number(msPerStep.high)}`,
        number(msPipelined),
        number(tokensPerSecond, 0),
        number(gflops),
        probe === undefined ? 'not run' : number(probe),
        probe === undefined ? '–' : `${number((100 * gflops) / probe, 0)}%`,
        String(steps),
        number(firstLoss, 5),
        againstPytorch === undefined ? 'not run' : `${spread(againstPytorch)} of ${againstPytorch.threads} thr.`,
      ];
    },
  );
  const theirs = pytorch.map(({ threads, msPerStep, tokensPerSecond, firstLoss }) => [
    `PyTorch ${threads} thr.`,
    number(msPerStep.median),
    `${number(msPerStep.low)}–${number(msPerStep.high)}`,
    '',
    number(tokensPerSecond, 0),
    '',
    '',
    '',
    '',
    number(firstLoss, 5),
    '',
  ]);
  const head = [
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
  const [torch] = pytorch;
  const parts = [
    [
      `Training: ${workload.name}, LoRA r=${workload.r} on ${workload.targetModules}, batches of ` +
        `${workload.batchSize} rows`,
      table([head, ...ours, ...theirs]),
      ...(torch === undefined ? [] : [`PyTorch: torch ${torch.torch}, ${torch.library}`]),
    ].join('\n'),
    [
      'Plans and memory (the largest batch)',
      table([
        [
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
        ],
        ...results.map(({ device, plan, memory, compile }) => [
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
        ]),
      ]),
    ].join('\n'),
  ];
  if (overhead.length > 0) {
    parts.push(
      [
        "LoRA's overhead over the frozen base, first batch",
        table([
          ['device', 'base forward ms', 'with LoRA ms', 'time', 'FLOPs', 'whole step / base forward', 'FLOPs'],
          ...overhead.map((one) => [
            one.device,
            number(one.msBaseForward),
            number(one.msAdaptedForward),
            spread(one.forward),
            number(one.forwardFlops, 3),
            spread(one.step),
            number(one.stepFlops, 2),
          ]),
        ]),
      ].join('\n'),
    );
  }
  return parts;
}

function renderQuantized({ products, steps }) {
  const times = ({ against16, byCpuTime }) => [spread(against16), byCpuTime === undefined ? '' : number(byCpuTime, 2)];
  const parts = [
    [
      'Products over codes. × 16 bits: time over that of bf16 in the same rounds, above 1 where bf16 is ' +
        'faster [quartiles of the rounds]',
      table([
        ['product', 'M×K×N', 'device', 'weight', 'ms', 'GFLOP/s', 'rounds', '× 16 bits', 'by CPU time'],
        ...products.map(({ case: name, form, size: [m, k, n], device, weight, ms, gflops, ...ratio }) => [
          `${name} (${form})`,
          `${m}×${k}×${n}`,
          device,
          weight,
          number(ms.median, 3),
          number(gflops),
          String(ms.count),
          ...times(ratio),
        ]),
      ]),
    ].join('\n'),
  ];
  for (const { device, model, results } of steps) {
    parts.push(
      [
        `QLoRA beside LoRA on ${device}: a Llama of random weights, hidden ${model.hidden}, MLP ` +
          `${model.intermediate}, ${model.layers} ${model.layers === 1 ? 'layer' : 'layers'}, ` +
          `${model.batch}×${model.length} tokens, r = 8 on all linear layers`,
        table([
          [
            'base',
            'ms/step',
            'quartiles',
            'steps',
            '× LoRA',
            'by CPU time',
            'quantized matrices',
            'of 16 bits',
            'whole model',
            'of 16 bits',
            'peak memory',
            'first loss',
          ],
          ...results.map(
            ({ name, msPerStep, matrixBytes, matrixShare, modelBytes, modelShare, peakBytes, firstLoss, ...ratio }) => [
              name,
              number(msPerStep.median),
              `${number(msPerStep.low)}–${number(msPerStep.high)}`,
              String(msPerStep.count),
              ...times(ratio),
              megabytes(matrixBytes),
              number(matrixShare, 4),
              megabytes(modelBytes),
              number(modelShare, 4),
              megabytes(peakBytes),
              number(firstLoss, 5),
            ],
          ),
        ]),
        'wanted: × LoRA at most 1.10 (on a software adapter: as measured), quantized matrices at most 0.285 ' +
          'of 16 bits, 0.26 double',
      ].join('\n'),
    );
  }
  return parts;
}

function renderServing({ workload, r, targetModules, newTokens, results }) {
  return results.flatMap(({ device, tokensPerStep, contenders, switching }) => [
    [
      `Serving on ${device}: ${workload}, an adapter of r=${r} on ${targetModules}. A step is the loss of ` +
        `${tokensPerStep} tokens without gradients; a token, one of ${newTokens} written to one prompt`,
      table([
        [
          'model',
          'ms/step',
          '× base',
          'by CPU time',
          'operations',
          'ms/token',
          '× base',
          'by CPU time',
          'best',
          '× base',
          'rounds',
          'loss',
        ],
        ...contenders.map(
          ({
            name,
            msPerStep,
            stepAgainstBase,
            flops,
            msPerToken,
            tokenAgainstBase,
            bestToken,
            bestTokenAgainstBase,
            loss,
          }) => [
            name,
            number(msPerStep.median, 2),
            spread(stepAgainstBase),
            number(stepAgainstBase.byCpuTime, 2),
            number(flops, 3),
            number(msPerToken.median, 3),
            spread(tokenAgainstBase),
            number(tokenAgainstBase.byCpuTime, 2),
            number(bestToken, 3),
            number(bestTokenAgainstBase, 2),
            String(msPerStep.count),
            number(loss, 5),
          ],
        ),
      ]),
    ].join('\n'),
    [
      `Switching in the bank on ${device}: the host's time beside the upload (wanted: below 1 ms); ` +
        `${switching.plans} plans and ${switching.buffers} buffers were made. Preparing an adapter for it took ` +
        `${number(switching.msPrepare, 2)} ms`,
      table([
        ['switch', 'host ms', 'upload ms', 'bytes'],
        ...switching.ways.map(({ name, msHost, msUpload, bytes }) => [
          name,
          number(msHost.median, 4),
          number(msUpload, 4),
          String(bytes),
        ]),
      ]),
    ].join('\n'),
  ]);
}
