import { useState } from 'react';
import { useModel } from './useModel';

interface Turn {
  readonly role: 'user' | 'assistant';
  readonly content: string;
  /** Which adapter answered. */
  readonly by?: string;
}

/** A chat whose model is picked from the disk, and whose adapter can be switched between two messages. */
export function App() {
  const { model, adapters, problem, attempt, open, addAdapter } = useModel();
  const [active, setActive] = useState('base');
  const [turns, setTurns] = useState<readonly Turn[]>([]);
  const [busy, setBusy] = useState(false);

  async function ask(content: string): Promise<void> {
    const asked: Turn[] = [...turns, { role: 'user', content }];
    setTurns(asked);
    setBusy(true);
    await attempt(async () => {
      if (model === undefined) return;
      // The base alone, or one adapter: nothing is loaded or compiled again.
      await model.activateAdapter(active === 'base' ? [] : [active]);
      const messages = asked.map(({ role, content: said }) => ({ role, content: said }));
      let answer = '';
      for await (const piece of model.chat(messages, { maxNewTokens: 24 })) {
        answer += piece;
        setTurns([...asked, { role: 'assistant', content: answer, by: active }]);
      }
    });
    setBusy(false);
  }

  return (
    <>
      <h1>A chat that switches adapters</h1>
      <Folder label="Model folder" onPick={open} />
      {model !== undefined && <Folder label="Add an adapter folder" onPick={addAdapter} />}
      {problem !== undefined && <p role="alert">{problem}</p>}
      {model !== undefined && (
        <>
          <fieldset>
            <legend>Who answers</legend>
            {['base', ...adapters].map((name) => (
              <label key={name}>
                <input type="radio" name="active" checked={active === name} onChange={() => setActive(name)} /> {name}
              </label>
            ))}
          </fieldset>
          <ol aria-live="polite">
            {turns.map(({ role, content, by }, at) => (
              <li key={at} data-role={role}>
                {content} {by !== undefined && <small>({by})</small>}
              </li>
            ))}
          </ol>
          <Ask isBusy={busy} onAsk={ask} />
          <button type="button" disabled={busy} onClick={() => setTurns([])}>
            Begin again
          </button>
        </>
      )}
    </>
  );
}

function Folder({ label, onPick }: { label: string; onPick: (files: readonly File[]) => Promise<void> }) {
  return (
    <p>
      <label>
        {label} <input type="file" multiple onChange={({ target }) => void onPick([...(target.files ?? [])])} />
      </label>
    </p>
  );
}

function Ask({ isBusy, onAsk }: { isBusy: boolean; onAsk: (text: string) => Promise<void> }) {
  const [text, setText] = useState('');
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        setText('');
        void onAsk(text);
      }}
    >
      <input aria-label="Message" value={text} onChange={({ target }) => setText(target.value)} />
      <button disabled={isBusy || text === ''}>Send</button>
    </form>
  );
}
