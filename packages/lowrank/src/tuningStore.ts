import { joinPath, ownDisk, writeFileAtomic } from '@lowrank/files';
import { hubHome } from '@lowrank/models';
import type { TuningStore } from '@lowrank/webgpu';

/** What was measured of kernels, in files beside the hub's cache: `HF_HOME/lowrank/tuning`. */
export const tuningStore: TuningStore = {
  async read(name) {
    return ownDisk.readText(await fileOf(name));
  },
  async write(name, text) {
    await ownDisk.makeFolders(await tuningFolder());
    await writeFileAtomic(await fileOf(name), text);
  },
};

async function fileOf(name: string): Promise<string> {
  return joinPath(await tuningFolder(), `${name}.json`);
}

async function tuningFolder(): Promise<string> {
  return joinPath(joinPath(await hubHome(process.env), 'lowrank'), 'tuning');
}
