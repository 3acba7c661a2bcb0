import { downloadModel, loadCausalModel, openDirectory, originCache } from '@lowrank/models';
import type { ModelCache, TransferProgress } from '@lowrank/models';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { server } from 'vitest/browser';
import { fetchFile } from '../helpers/browserFiles';
import { affineShader, runShader } from '../helpers/runShader';

const tied = 'parity/golden/llama/tied';
const commit = '0123456789abcdef0123456789abcdef01234567';
const hex = (bytes: ArrayBuffer): string =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');

let root: FileSystemDirectoryHandle;
let cache: ModelCache;

beforeEach(async () => {
  root = await (await navigator.storage.getDirectory()).getDirectoryHandle('models', { create: true });
  cache = originCache(root);
});

afterEach(async () => (await navigator.storage.getDirectory()).removeEntry('models', { recursive: true }));

/**
 * A hub within the page: a request breaks off after `cut` bytes as often as it says, and flips a byte of the weights
 * once if told to.
 */
async function pageHub(): Promise<{
  fetch: typeof fetch;
  requests: string[];
  trouble: { cuts: number; flip: boolean };
}> {
  const files = new Map(
    await Promise.all(
      ['config.json', 'model.safetensors'].map(async (name) => [name, await fetchFile(`${tied}/${name}`)] as const),
    ),
  );
  const trouble = { cuts: 0, flip: false };
  const requests: string[] = [];
  const tree = await Promise.all(
    [...files].map(async ([path, bytes]) => ({
      type: 'file',
      path,
      size: bytes.length,
      oid: 'f'.repeat(40),
      lfs: {
        oid: hex(await crypto.subtle.digest('SHA-256', new Uint8Array(bytes))),
        size: bytes.length,
        pointerSize: 100,
      },
    })),
  );
  const answer = async (url: URL, range: string | null): Promise<Response> => {
    if (url.pathname.endsWith('/revision/main')) return Response.json({ id: 'tiny/llama', _id: '1', sha: commit });
    if (url.pathname.includes('/tree/')) return Response.json(tree);
    const name = url.pathname.split('/').at(-1) ?? '';
    const from = Number(/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
    const body = new Uint8Array(files.get(name) ?? []).slice(from);
    if (name === 'model.safetensors' && trouble.flip) {
      trouble.flip = false;
      body[body.length - 1] = (body.at(-1) ?? 0) ^ 1;
    }
    const cut = name === 'model.safetensors' && trouble.cuts > 0;
    if (cut) trouble.cuts--;
    const stream = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(cut ? body.subarray(0, 10_000) : body);
        await new Promise((resolve) => setTimeout(resolve, 20));
        if (cut) controller.error(new TypeError('network error'));
        else controller.close();
      },
    });
    return new Response(stream, { status: range === null ? 200 : 206 });
  };
  return {
    requests,
    trouble,
    fetch(input, init) {
      const url = new URL(input instanceof Request ? input.url : String(input));
      const range = new Headers(init?.headers).get('Range');
      requests.push(`${url.pathname}${range === null ? '' : ` ${range}`}`);
      return answer(url, range);
    },
  };
}

const hubId = { id: 'tiny/llama', revision: 'main' };
const pause = (): Promise<void> => Promise.resolve();

test("a hub's model is kept in the origin's file system: resumed, checked, and there without a network", async () => {
  const hub = await pageHub();
  const controller = new AbortController();
  hub.trouble.cuts = 1;
  const killed = downloadModel(hubId, {
    cache,
    fetch: hub.fetch,
    signal: controller.signal,
    pause: () => Promise.resolve(controller.abort(new Error('the tab was closed'))),
  });
  await expect(killed).rejects.toThrow('the tab was closed');

  hub.requests.length = 0;
  hub.trouble.flip = true;
  const warnings: string[] = [];
  const progress: TransferProgress[] = [];
  const files = await downloadModel(hubId, {
    cache: originCache(root),
    fetch: hub.fetch,
    pause,
    onWarning: (text) => warnings.push(text),
    onProgress: (event) => progress.push(event),
  });
  expect(hub.requests.filter((request) => request.includes('safetensors'))).toEqual([
    `/tiny/llama/resolve/${commit}/model.safetensors bytes=10000-`,
    `/tiny/llama/resolve/${commit}/model.safetensors`,
  ]);
  expect(warnings).toEqual([expect.stringContaining('arrived damaged')]);
  expect(progress.at(-1)).toMatchObject({ secondsLeft: 0 });
  expect((await loadCausalModel(files)).shape.vocabularySize).toBe(96);

  hub.requests.length = 0;
  const offline = await downloadModel(hubId, { cache: originCache(root), fetch: hub.fetch, offline: true });
  expect((await loadCausalModel(offline)).shape.vocabularySize).toBe(96);
  expect(hub.requests).toEqual([]);
});

test('a server without length or date: JSON is complete, weights are as long as their header says', async () => {
  const names = ['config.json', 'model.safetensors'];
  const bytes = new Map(
    await Promise.all(names.map(async (name) => [name, await fetchFile(`${tied}/${name}`)] as const)),
  );
  const files = await downloadModel('https://models.invalid/tied', {
    cache,
    pause,
    fetch(input) {
      const file = bytes.get(String(input).split('/').at(-1) ?? '');
      return Promise.resolve(
        file === undefined ? new Response(null, { status: 404 }) : new Response(new Uint8Array(file)),
      );
    },
  });
  expect((await loadCausalModel(files)).shape.vocabularySize).toBe(96);
});

test('a folder of a server, from the cache to the GPU, and the picked folder that it becomes', async () => {
  const { pathname } = new URL(`${server.config.root}/${tied}`, 'file:///');
  const files = await downloadModel(`${location.origin}/@fs${pathname}`, { cache, pause });
  const bytes = await fetchFile(`${tied}/model.safetensors`);
  const source = await files.file('model.safetensors');
  const kept = new Uint8Array((await source?.read(0, await source.size())) ?? []);
  expect(hex(await crypto.subtle.digest('SHA-256', kept))).toBe(
    hex(await crypto.subtle.digest('SHA-256', new Uint8Array(bytes))),
  );
  const values = new Float32Array(kept.slice(-64).buffer);
  const device = await (await navigator.gpu.requestAdapter())?.requestDevice();
  if (!device) throw new Error('no device');
  expect([...(await runShader({ device, code: affineShader, input: values, workgroups: 2 }))]).toEqual(
    Array.from(values.map((value) => 2 * value + 1)),
  );
  device.destroy();

  const folder = await root.getDirectoryHandle('picked', { create: true });
  for (const name of ['config.json', 'model.safetensors']) {
    const file = await (await folder.getFileHandle(name, { create: true })).createWritable();
    await file.write(new Uint8Array(await fetchFile(`${tied}/${name}`)));
    await file.close();
  }
  const picked = openDirectory(folder);
  expect(await picked.file('no such file')).toBeUndefined();
  expect((await loadCausalModel(picked)).shape.hiddenSize).toBe(24);
});
