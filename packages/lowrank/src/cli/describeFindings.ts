import type { Findings } from '../jobs/doctor.js';

/** `lowrank doctor` for people. */
export function describeFindings({ node, platform, adapters, cpu, robustness, auto, advice }: Findings): string {
  const lines = [`Node ${node} on ${platform}`, '', adapters.length === 0 ? 'WebGPU: no adapter' : 'WebGPU'];
  for (const { name, kernels, features, limits, subgroupMinSize, subgroupMaxSize } of adapters) {
    lines.push(`  ${name}`);
    lines.push(
      `    buffers of ${mebibytes(limits.maxBufferSize)}, bindings of ` +
        `${mebibytes(limits.maxStorageBufferBindingSize)}, ${limits.maxStorageBuffersPerShaderStage} per ` +
        `shader, ${limits.maxComputeWorkgroupStorageSize / 1024} KiB of workgroup memory`,
    );
    const useful = ['shader-f16', 'subgroups', 'timestamp-query'].map(
      (feature) => `${feature} ${features.includes(feature) ? 'yes' : 'no'}`,
    );
    const subgroups = subgroupMinSize === undefined ? [] : [`subgroups of ${subgroupMinSize} to ${subgroupMaxSize}`];
    lines.push(`    ${[...useful, ...subgroups].join(', ')}`, `    takes ${kernels}`);
  }
  const { default: guarded, canBeOff } = robustness;
  if (adapters.length > 0)
    lines.push(`  robustness ${guarded}${canBeOff ? ' (--robustness off: no guards around indices)' : ''}`);
  lines.push(`CPU: ${cpu.description}`, '', `--device auto takes: ${auto}`);
  return [...lines, ...(advice.length === 0 ? [] : ['', ...advice])].join('\n');
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 2 ** 20).toLocaleString('en')} MiB`;
}
