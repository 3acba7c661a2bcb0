/**
 * The fields of one CSV record (RFC 4180): a field in quotes may hold separators, line breaks and, doubled, quotes. An
 * empty field without quotes is null, as pandas and `datasets` read it.
 */
export function csvFields(record: string, separator: string): (string | null)[] {
  const fields: (string | null)[] = [];
  for (let at = 0; ; at++) {
    if (record[at] === '"') {
      let text = '';
      for (;;) {
        const end = record.indexOf('"', at + 1);
        // A quote that nothing closes: the rest of the file is within it.
        if (end < 0) return [...fields, text + record.slice(at + 1)];
        text += record.slice(at + 1, end);
        at = end + 1;
        if (record[at] !== '"') break;
        text += '"';
      }
      // What stands behind the closing quote belongs to the field.
      const end = endOf(record, separator, at);
      fields.push(text + record.slice(at, end));
      at = end;
    } else {
      const end = endOf(record, separator, at);
      fields.push(end === at ? null : record.slice(at, end));
      at = end;
    }
    if (at >= record.length) return fields;
  }
}

function endOf(record: string, separator: string, from: number): number {
  const at = record.indexOf(separator, from);
  return at < 0 ? record.length : at;
}
