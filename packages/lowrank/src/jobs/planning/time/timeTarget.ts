import { LowrankError } from '@lowrank/errors';
import type { Precision } from '@lowrank/tensor/backend';
import type { DeviceProfile } from '@lowrank/webgpu';
import { portableSpec, profileOf } from '@lowrank/webgpu';
import type { DeviceName } from '../../../device.js';
import { chooseBackend } from '../../../device.js';
import { kernelProfileOf, kindOf } from '../../profiling/deviceKind.js';
import { probe } from '../../profiling/probes.js';
import type { PlanDevice } from '../planDevice.js';
import { commonLimits, planDevice } from '../planDevice.js';
import type { DataSheet, DataSheetName } from './dataSheets.js';
import { dataSheetNames, dataSheets } from './dataSheets.js';
import type { DeviceRates } from './deviceRates.js';
import { probedRates, sheetRates } from './deviceRates.js';

/** What `--on` takes: a GPU by its data sheet, or the device at hand, measured. */
export const timeTargets = [...dataSheetNames, 'this'] as const;
/** A name of {@link timeTargets}. */
export type TimeTargetName = DataSheetName | 'this';

/** A device that a run is planned for and timed on. */
export interface TimeTarget {
  readonly device: PlanDevice;
  readonly rates: DeviceRates;
  /** Of a GPU. */
  readonly profile: DeviceProfile | undefined;
  /** Where the rates are from. */
  readonly source: string;
}

/** How the device at hand is taken. */
interface Here {
  readonly device?: DeviceName | undefined;
  readonly precision?: Precision | undefined;
}

/**
 * @throws LowrankError `cli.choice` for another name, `cli.conflict` for a data sheet beside a device, and what
 * `chooseBackend` throws
 */
export async function timeTarget(name: TimeTargetName, here: Here): Promise<TimeTarget> {
  if (name === 'this') return measured(here);
  if (!dataSheetNames.includes(name))
    throw new LowrankError({
      code: 'cli.choice',
      what: (names) => names('on'),
      expected: timeTargets.join(', '),
      got: String(name),
    });
  if (here.device !== undefined && here.device !== 'auto')
    throw new LowrankError({
      code: 'cli.conflict',
      what: (names) => `${names('device', here.device)} with ${names('on', name)}`,
      expected: 'one of the two',
      got: 'both',
      remedy: (names) => `${names('on', 'this')} takes the device at hand.`,
    });
  return bySheet(dataSheets[name], here.precision);
}

function bySheet(sheet: DataSheet, precision: Precision | undefined): TimeTarget {
  const { title, memoryBytes, source } = sheet;
  const adapter = { ...sheet.adapter, device: title, description: title, software: false };
  const profile = profileOf(adapter, { precision });
  const device = { name: title, spec: portableSpec(commonLimits, { profile }), memoryBytes };
  return { device, profile, rates: sheetRates(sheet, profile), source };
}

async function measured({ device, precision }: Here): Promise<TimeTarget> {
  const { backend } = await chooseBackend(device, { precision });
  try {
    const kind = kindOf(backend);
    const probes = await probe(backend, { isSlow: kind !== 'gpu' });
    const { memoryBytes } = await planDevice(kind === 'cpu' ? 'cpu' : 'webgpu');
    return {
      device: { name: `${backend.name}, ${backend.description}`, spec: backend.spec, memoryBytes },
      profile: kernelProfileOf(backend),
      rates: probedRates(probes, kind),
      source: 'measured now: a square product, a sum of large vectors, a chain of small kernels',
    };
  } finally {
    backend.dispose();
  }
}
