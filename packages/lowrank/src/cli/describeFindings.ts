import type { Findings, FoundAdapter } from '../jobs/doctor.js';

/** `lowrank doctor` for people. */
export function describeFindings({ node, platform, adapters, cpu, robustness, auto, advice }: Findings): string {
  const lines = [`Node ${node} on ${platform}`, '', adapters.length === 0 ? 'WebGPU: no adapter' : 'WebGPU'];
  for (const { name, kernels, features, limits, subgroupMinSize, subgroupMaxSize, tuned } of adapters) {
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
    lines.push(...describeTuned(tuned));
  }
  const { default: guarded, canBeOff } = robustness;
  if (adapters.length > 0)
    lines.push(`  robustness ${guarded}${canBeOff ? ' (--robustness off: no guards around indices)' : ''}`);
  lines.push(`CPU: ${cpu.description}`, '', `--device auto takes: ${auto}`);
  return [...lines, ...(advice.length === 0 ? [] : ['', ...advice])].join('\n');
}

function describeTuned(tuned: FoundAdapter['tuned']): string[] {
  if (tuned.length === 0) return [];
  const others = tuned.filter(({ form }) => form !== undefined);
  const lines = others.map(({ shape, form, table = NaN, best = NaN }) => {
    const gain = Number.isNaN(table / best) ? '' : `, ${(table / best).toFixed(2)} times as fast as the table’s`;
    return `      ${shape}: ${form}${gain}`;
  });
  return [
    `    measured ${tuned.length} shapes of products, ${others.length} of them not as the table has them`,
    ...lines,
  ];
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 2 ** 20).toLocaleString('en')} MiB`;
}
