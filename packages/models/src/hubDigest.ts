/**
 * What the bytes of a file have to hash to: SHA-256 as Git LFS keeps large files, or Git's SHA-1 over a header and the
 * bytes, as it keeps small ones.
 */
export interface Checksum {
  readonly kind: 'sha256' | 'gitBlob';
  readonly hex: string;
}

/** A hash over bytes as they come. */
export interface Digest {
  update(bytes: Uint8Array): void;
  hex(): string;
}

/**
 * A new digest for a file of that many bytes: Node's own where there is Node, else in JavaScript, since WebCrypto takes
 * no pieces.
 */
export async function createDigest(kind: Checksum['kind'], size: number): Promise<Digest> {
  const digest = await hash(kind === 'sha256' ? 'sha256' : 'sha1');
  if (kind === 'gitBlob') digest.update(new TextEncoder().encode(`blob ${size}\0`));
  return digest;
}

async function hash(name: 'sha256' | 'sha1'): Promise<Digest> {
  if (typeof process === 'object' && typeof process.versions.node === 'string') {
    const { createHash } = await import('node:crypto');
    const made = createHash(name);
    return { update: (bytes) => void made.update(bytes), hex: () => made.digest('hex') };
  }
  const made =
    name === 'sha256'
      ? (await import('@noble/hashes/sha2.js')).sha256.create()
      : (await import('@noble/hashes/legacy.js')).sha1.create();
  return {
    update: (bytes) => void made.update(bytes),
    hex: () => Array.from(made.digest(), (byte) => byte.toString(16).padStart(2, '0')).join(''),
  };
}

/** The checksum that the hub's cache names a blob by: 64 digits of SHA-256 or 40 of Git. */
export function checksumOfKey(key: string): Checksum | undefined {
  if (/^[0-9a-f]{64}$/.test(key)) return { kind: 'sha256', hex: key };
  return /^[0-9a-f]{40}$/.test(key) ? { kind: 'gitBlob', hex: key } : undefined;
}
