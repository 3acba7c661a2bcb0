import './style.css';
import { NoteSearch } from './search';

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as T;
}

const [form, files] = [element<HTMLFormElement>('form'), element<HTMLInputElement>('files')];
const [notes, query] = [element<HTMLTextAreaElement>('notes'), element<HTMLInputElement>('query')];
const [status, problem, list] = [element('status'), element('problem'), element('found')];
let search: Promise<NoteSearch> | undefined;

files.addEventListener('change', () => (search = undefined));
form.addEventListener('submit', (event) => {
  event.preventDefault();
  void find();
});

async function find(): Promise<void> {
  problem.hidden = true;
  status.textContent = 'Reading…';
  try {
    search ??= NoteSearch.open([...(files.files ?? [])]);
    const lines = notes.value.split('\n').filter((line) => line.trim() !== '');
    const found = await (await search).search(query.value, lines);
    list.replaceChildren(
      ...found.map(({ note, nearness }) => {
        const item = document.createElement('li');
        item.textContent = `${note} (${nearness.toFixed(3)})`;
        return item;
      }),
    );
    status.textContent = `${found.length} notes, the nearest first.`;
  } catch (error) {
    search = undefined;
    problem.hidden = false;
    problem.textContent = error instanceof Error ? error.message : String(error);
    status.textContent = 'Nothing was found.';
  }
}
