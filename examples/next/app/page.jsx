'use client';
import { useState } from 'react';

/** Asks the route, and shows the text while it arrives. */
export default function Page() {
  const [text, setText] = useState('');

  async function complete(form) {
    const body = JSON.stringify({ prompt: form.get('prompt'), adapter: form.get('adapter') || undefined });
    const response = await fetch('/complete', { method: 'POST', body });
    setText('');
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) setText((shown) => shown + piece);
  }

  return (
    <main>
      <form action={complete}>
        <input name="prompt" aria-label="Prompt" required /> <input name="adapter" aria-label="Adapter" />
        <button>Complete</button>
      </form>
      <p aria-live="polite">{text}</p>
    </main>
  );
}
