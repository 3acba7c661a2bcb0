const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

/**
 * Python's `date.strftime(format)` in the C locale and local time, for the codes that stand for one thing everywhere;
 * others stay as they are.
 */
export function strftime(date: Date, format: string): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const dayOfYear = Math.round(
    (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(date.getFullYear(), 0, 0)) / 86_400_000,
  );
  const [day = '', month = ''] = [days[date.getDay()], months[date.getMonth()]];
  const codes: Readonly<Record<string, string>> = {
    a: day.slice(0, 3),
    A: day,
    w: String(date.getDay()),
    d: two(date.getDate()),
    b: month.slice(0, 3),
    B: month,
    m: two(date.getMonth() + 1),
    y: two(date.getFullYear() % 100),
    Y: String(date.getFullYear()),
    H: two(date.getHours()),
    I: two(date.getHours() % 12 || 12),
    p: date.getHours() < 12 ? 'AM' : 'PM',
    M: two(date.getMinutes()),
    S: two(date.getSeconds()),
    f: `${String(date.getMilliseconds()).padStart(3, '0')}000`,
    j: String(dayOfYear).padStart(3, '0'),
    F: `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`,
    T: `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`,
    '%': '%',
  };
  return format.replace(/%(.)/g, (whole, code: string) => codes[code] ?? whole);
}
