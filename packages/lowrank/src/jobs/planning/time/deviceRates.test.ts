import { profileOf } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { launchGroups } from '../launches.js';
import { middleOf } from './bounds.js';
import { calibrations } from './calibrations.js';
import type { DataSheet } from './dataSheets.js';
import { dataSheets } from './dataSheets.js';
import { probedRates, sheetRates } from './deviceRates.js';

const sheets: [string, DataSheet][] = Object.entries(dataSheets);
const probes = { flops_per_second: 5e10, bytes_per_second: 2e10, launch_seconds: 1e-6 };

test.each(sheets)('%s: no more than its data sheet, in f32 and mixed', (_, sheet) => {
  const adapter = { ...sheet.adapter, device: '', description: '', software: false };
  const plain = sheetRates(sheet, profileOf(adapter));
  const mixed = sheetRates(sheet, profileOf(adapter, { precision: 'mixed' }));
  expect(plain.flops.most).toBeLessThan(sheet.flops.most);
  expect(plain.bytes.most).toBeLessThan(sheet.bytes.most);
  expect(mixed.flops.most).toBeLessThanOrEqual(sheet.matrixFlops ?? sheet.flops.most);
  // Without matrix units f16 saves memory, and no operation.
  if (sheet.matrixFlops === undefined) expect(mixed.flops).toEqual(plain.flops);
  else expect(middleOf(mixed.flops)).toBeGreaterThan(2 * middleOf(plain.flops));
  for (const group of launchGroups) {
    const { least, most } = plain.efficiency(group);
    expect(least).toBeGreaterThan(0);
    expect(most).toBeGreaterThanOrEqual(least);
  }
});

test('of a measured device the bounds are as far apart as the model was off', () => {
  for (const kind of ['cpu', 'software'] as const) {
    const { efficiency, error } = calibrations[kind];
    const { least, most } = probedRates(probes, kind).efficiency('products');
    expect(most / least).toBeCloseTo((1 + error.most) ** 2, 9);
    expect(Math.sqrt(least * most)).toBeCloseTo(efficiency.products ?? NaN, 9);
  }
});

test('a real GPU that was measured has its own rates, and groups as far below them as elsewhere', () => {
  const rates = probedRates(probes, 'gpu');
  expect(middleOf(rates.flops)).toBeCloseTo(5e10);
  const { least, most } = rates.efficiency('attention');
  const measured = Object.values(calibrations).map(({ efficiency }) => efficiency.attention ?? NaN);
  expect([least, most]).toEqual([Math.min(...measured), Math.max(...measured)]);
});
