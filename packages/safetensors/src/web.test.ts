import { expect, test } from 'vitest';
import { isWebPage, webAddress, withoutSecrets } from './web.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('an address is shown without user, password, query and fragment', () => {
  expect(webAddress('https://me:p%40ss@host:8443/a/b?sig=1#c')).toEqual({
    url: 'https://host:8443/a/b?sig=1',
    shown: 'https://host:8443/a/b',
    authorization: `Basic ${btoa('me:p@ss')}`,
  });
  for (const bad of ['http://me:s3cret@[bad/x', 'file:///etc/passwd', 'x'])
    expect(() => webAddress(bad)).toThrow(
      expect.objectContaining({
        code: 'web.address',
        message: expect.not.stringContaining('s3cret') as string,
      }) as Error,
    );
});

test('texts of servers lose credentials, queries and control characters', () => {
  expect(withoutSecrets('GET https://a:b@c/d?token=e failed\u001b[31m', ['failed'])).toBe('GET https://c/d?… … [31m');
  expect(withoutSecrets('x'.repeat(1000))).toHaveLength(301);
});

test('web pages are known by how they begin', () => {
  for (const page of ['\ufeff <!DOCTYPE html>', '<html lang="en">', '<HEAD>'])
    expect(isWebPage(bytes(page), null)).toBe(true);
  expect(isWebPage(bytes('<!-- sign in --><div>'), 'text/html; charset=utf-8')).toBe(true);
  for (const file of ['{"a": "<html>"}', '{% if x %}<html>', '\u0010\0\0\0\0\0\0\0{"a":', '<s>\n'])
    expect(isWebPage(bytes(file), 'application/octet-stream')).toBe(false);
});
