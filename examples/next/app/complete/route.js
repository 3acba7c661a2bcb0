import { loadModel } from 'lowrank';

// One model for all requests, loaded with the first.
let loading;

async function openModel() {
  const model = await loadModel(process.env.MODEL ?? 'HuggingFaceTB/SmolLM2-135M-Instruct');
  for (const folder of (process.env.ADAPTERS ?? '').split(',').filter(Boolean))
    await model.loadAdapter(folder, { name: folder.split('/').at(-1) });
  await model.activateAdapter([]);
  return model;
}

// A model generates one text at a time.
let last = Promise.resolve();

/** POST { prompt, adapter?, maxNewTokens? } → the text, in pieces as they are made. */
export async function POST(request) {
  const { prompt, adapter, maxNewTokens = 48 } = await request.json();
  if (typeof prompt !== 'string') return Response.json({ error: 'expected { prompt }' }, { status: 400 });
  const model = await (loading ??= openModel());
  const before = last;
  let release;
  last = new Promise((done) => (release = done));
  await before;
  try {
    await model.activateAdapter(adapter === undefined ? [] : [adapter]);
  } catch (error) {
    release();
    return Response.json({ error: error.message, code: error.code }, { status: 400 });
  }
  const pieces = model.generate(prompt, { maxNewTokens, temperature: 0, signal: request.signal });
  return new Response(streamOf(pieces, release), { headers: { 'Content-Type': 'text/plain; charset=utf-8' } });
}

function streamOf(pieces, done) {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async start(controller) {
      try {
        for await (const piece of pieces) controller.enqueue(encoder.encode(piece));
        controller.close();
      } catch (error) {
        controller.error(error);
      } finally {
        done();
      }
    },
  });
}
