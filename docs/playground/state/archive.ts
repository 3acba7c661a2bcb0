import type { AdapterFiles } from '../engine/session';

/** The files of an adapter folder as one ZIP file. Weights do not get smaller by packing, so nothing is packed. */
export async function zipOf(files: AdapterFiles): Promise<Uint8Array> {
  const { zipSync } = await import('fflate');
  return zipSync({ ...files }, { level: 0 });
}

/** Largest file that an archive may unpack to: adapters are far smaller, and a hostile archive may be far larger. */
const mostBytes = 2 ** 31;

/**
 * The files of an adapter as a person drops them: a ZIP file, or the files themselves. Of folders in an archive the
 * last part of a name counts.
 *
 * @throws Error a sentence, where they are none
 */
export async function adapterFilesFrom(dropped: readonly File[]): Promise<AdapterFiles> {
  const files: Record<string, Uint8Array> = {};
  for (const file of dropped) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    if (isZip(bytes)) Object.assign(files, await unzipped(file.name, bytes));
    else files[file.name] = bytes;
  }
  const missing = ['adapter_config.json', 'adapter_model.safetensors'].filter((name) => files[name] === undefined);
  if (missing.length > 0)
    throw new Error(
      `${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} missing: an adapter is a ZIP file with ` +
        'PEFT’s two files, or these files together.',
    );
  return files;
}

function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4;
}

async function unzipped(name: string, bytes: Uint8Array): Promise<AdapterFiles> {
  const { unzipSync } = await import('fflate');
  try {
    const entries = unzipSync(bytes, {
      filter: ({ name: path, originalSize }) => wanted.has(lastPart(path)) && originalSize < mostBytes,
    });
    return Object.fromEntries(Object.entries(entries).map(([path, content]) => [lastPart(path), content]));
  } catch (cause) {
    throw new Error(`${name} is no whole ZIP file: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

const wanted = new Set(['adapter_config.json', 'adapter_model.safetensors', 'README.md', 'tokenizer.json']);

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** Hands a file to the person, as a download. */
export function download(name: string, content: BlobPart): void {
  const address = URL.createObjectURL(new Blob([content]));
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** A name that every file system takes. */
export function fileName(name: string): string {
  return (
    name
      .trim()
      .replaceAll(/[^\p{L}\p{N}._-]+/gu, '-')
      .replaceAll(/^[-.]+|-+$/g, '') || 'adapter'
  );
}
