/** Where Lowrank keeps what it keeps in the origin's private file system: a folder a thing, below these. */
export const modelsFolder = 'lowrank/models';
export const runsFolder = 'lowrank/runs';
export const adaptersFolder = 'lowrank/adapters';
export const settingsFolder = 'lowrank/settings';

/** The folder of a stored model; its name may be a hub id or an address. */
export function modelFolder(name: string): string {
  return `${modelsFolder}/${encodeURIComponent(name)}`;
}
