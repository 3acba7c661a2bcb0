import type { AlignedText } from './alignedText.js';
import { TextEditor } from './alignedText.js';
import { normalizeText } from './markOrder.js';

/** Writes a text anew. */
export type Normalizer = (text: AlignedText) => AlignedText;

/**
 * A form of Unicode, stretch by stretch: a character that nothing can be joined to the front of begins one. The places
 * of a stretch that changed are those of the stretch.
 */
export function unicodeForm(form: 'NFC' | 'NFD' | 'NFKC' | 'NFKD'): Normalizer {
  return (source) => {
    const { text } = source;
    if (normalizeText(text, form) === text) return source;
    const editor = new TextEditor(source);
    let kept = 0;
    for (const { index, 0: stretch } of text.matchAll(stretches)) {
      const changed = normalizeText(stretch, form);
      if (changed === stretch) continue;
      editor.keep(kept, index);
      editor.put(changed, index, index + stretch.length);
      kept = index + stretch.length;
    }
    editor.keep(kept, text.length);
    return editor.done();
  };
}

/** A character with the marks behind it; Hangul syllables are written with up to three letters. */
const stretches = /[\u1100-\u11ff\uac00-\ud7ff]+\p{M}*|[^\p{M}]\p{M}*|\p{M}+/gsu;
