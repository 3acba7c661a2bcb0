import { taskNamed } from '../tasks/tasks.js';
import { describeChecks, timeRows } from './describeTime.js';
import type { PlanReport } from '../jobs/planning/planReport.js';

/** `lowrank plan` for people. */
export function describePlan(report: PlanReport): string {
  const { bytes, file_bytes: file, quantization } = report;
  const how = [
    report.method,
    ...(report.r === null ? [] : [`r=${report.r} on ${report.target_modules?.join(', ')}`]),
    ...(report.virtual_tokens === null ? [] : [`${report.virtual_tokens} virtual tokens`]),
    ...(report.bottleneck === null ? [] : [`bottlenecks of ${report.bottleneck}`]),
    ...(quantization === null
      ? [report.dtype]
      : [
          `${quantization.type}${quantization.doubleQuantization === true ? ' with double quantization' : ''}, ` +
            `the rest ${report.dtype}`,
        ]),
    ...(report.quantize_embeddings ? ['embeddings in 8-bit rows'] : []),
    ...(report.optimizer === 'adamw' ? [] : [report.optimizer]),
    !report.checkpointing
      ? 'no checkpointing'
      : report.recomputed_layers === report.layers
        ? 'checkpointing'
        : `checkpointing of the first ${report.recomputed_layers} of ${report.layers} layers`,
  ];
  const rows: [string, string][] = [
    [
      'trainable parameters',
      `${report.trainable_parameters.toLocaleString('en')} of ${report.parameters.toLocaleString('en')} ` +
        `(${(100 * report.trainable_share).toPrecision(3)}%)`,
    ],
    [
      report.method === 'full' ? 'model file' : 'adapter file',
      `${size(file.bits16)} in 16 bits, ${size(file.bits32)} in 32`,
    ],
    ['', ''],
    ...(bytes.quantized === 0 ? [] : [['quantized matrices', size(bytes.quantized)] as [string, string]]),
    ['frozen weights', size(bytes.weights)],
    ['trained weights', size(bytes.trained)],
    ['optimizer state', size(bytes.optimizer)],
    ['gradients', size(bytes.gradients)],
    ['activations', size(bytes.activations)],
    ['arguments and tables', size(bytes.other)],
    ['peak', size(bytes.peak)],
    ['', ''],
    ['largest buffer', size(report.largest_buffer_bytes)],
    ['floating-point operations', `${operations(report.flops)} per step`],
    ['kernels', `${report.kernels.toLocaleString('en')} per batch`],
  ];
  const lines = [
    `${report.model} (${report.model_type})${report.task === null ? '' : `, ${report.task}`}: ${how.join('; ')}`,
    stepOf(report),
    '',
    ...rows.map(row),
    '',
    `planned for ${report.device}`,
    verdict(report),
    ...(report.time === null ? [] : ['', ...timeRows(report.time).map(row), describeChecks(report.time)]),
  ];
  return [
    ...lines,
    ...report.variants.map(
      ({ flags, peak_bytes: peak, fits }) =>
        `  ${fits ? 'fits' : 'does not fit'} with ${flags.join(' ')}: ` +
        `${peak === null ? 'beyond a limit of the device' : size(peak)}`,
    ),
  ].join('\n');
}

function row([name, value]: readonly [string, string]): string {
  return name === '' ? '' : `${name.padEnd(26)}${value}`;
}

function stepOf(report: PlanReport): string {
  const { batch_size: rows, gradient_accumulation: times, max_length: length, batches, task } = report;
  const each = task !== null && taskNamed(task).kind === 'image' ? 'positions, an image' : 'tokens';
  const shapes = [...new Set(batches.map((shape) => `${shape.batch} × ${shape.length}`))].map((shape) => {
    const count = batches.filter((each) => `${each.batch} × ${each.length}` === shape).length;
    return count === 1 ? shape : `${count} times ${shape}`;
  });
  return (
    `a step: ${rows * times} ${rows * times === 1 ? 'row' : 'rows'} of ${length} ${each}, run as ` +
    `${shapes.join(' and ')}`
  );
}

function verdict({ fits, memory_bytes: memory, variants }: PlanReport): string {
  if (fits === null || memory === null)
    return 'whether it fits: give the memory with --memory 8GB, since WebGPU does not say';
  if (fits) return `fits into ${size(memory)}`;
  return `does not fit into ${size(memory)}${variants.length === 0 ? '' : '. Planned instead:'}`;
}

/** Decimal, as memory is sold. */
function size(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  let value = bytes;
  for (; value >= 1000 && at < units.length - 1; at++) value /= 1000;
  return at === 0 ? `${bytes} bytes` : `${value.toFixed(value < 10 ? 2 : 1)} ${units[at]}`;
}

function operations(count: number): string {
  const units: [number, string][] = [
    [1e15, 'P'],
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
  ];
  const [unit, name] = units.find(([each]) => count >= each) ?? [1, ''];
  return `${(count / unit).toPrecision(3)} ${name}FLOP`;
}
