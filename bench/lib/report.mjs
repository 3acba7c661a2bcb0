/**
 * The run as text for people. Numbers that were not measured are not made up: what was not run is named with its
 * reason.
 */
import { renderBlock } from './report/block.mjs';
import { renderMatmul } from './report/matmul.mjs';
import { renderQuantized } from './report/quantized.mjs';
import { renderServing } from './report/serving.mjs';
import { renderTraining } from './report/training.mjs';

/** @param {import('../run.mjs').Report} report */
export function render(report) {
  const { command, machine, versions, devices, matmul, block, training, quantized, serving, notRun, failed } = report;
  const parts = [
    [
      `command   ${command}`,
      `machine   ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.platform}, load ` +
        `${machine.loadAverage} at the start`,
      `versions  Node ${versions.node}, Lowrank ${versions.lowrank}, jax-js ${versions.jaxJs}, TensorFlow.js ` +
        `${versions.tfjs}, Dawn (npm webgpu) ${versions.webgpu}`,
      ...devices.map(({ id, description }, at) => `${at === 0 ? 'devices ' : '        '}  ${id}: ${description}`),
    ].join('\n'),
    ...(matmul === undefined ? [] : [renderMatmul(matmul)]),
    ...(block === undefined ? [] : [renderBlock(block)]),
    ...(training?.workload === undefined ? [] : renderTraining(training, matmul)),
    ...(quantized === undefined ? [] : renderQuantized(quantized)),
    ...(serving === undefined ? [] : renderServing(serving)),
    ...(notRun.length === 0 ? [] : [notRun.map(({ what, reason }) => `not run: ${what}: ${reason}`).join('\n')]),
    ...(failed.length === 0 ? [] : [failed.map(({ what, message }) => `FAILED: ${what}: ${message}`).join('\n')]),
  ];
  return parts.join('\n\n');
}
