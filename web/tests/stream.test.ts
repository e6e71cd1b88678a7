import { afterEach, expect, test, vi } from 'vitest';
import { follow, parser, type Message } from '../src/api/stream';

const TEXT =
  ': keep-alive\n\nid: 7\nevent: viagem\ndata: {"a":\ndata: 1}\n\nid: 8\r\nevent: ponto\r\ndata:x\r\n\r\nevent: nothing\n\n';
const MEANT: Message[] = [
  { id: '7', event: 'viagem', data: '{"a":\n1}' },
  { id: '8', event: 'ponto', data: 'x' },
];

afterEach(() => vi.unstubAllGlobals());

test('events are the same wherever the text is torn', () => {
  for (let one = 0; one <= TEXT.length; one++) {
    for (let other = one; other <= TEXT.length; other += 3) {
      const heard: Message[] = [];
      const parse = parser((message) => heard.push(message));
      for (const piece of [TEXT.slice(0, one), TEXT.slice(one, other), TEXT.slice(other)]) parse(piece);
      expect(heard).toEqual(MEANT);
    }
  }
});

test('a line without end is refused rather than kept', () => {
  const parse = parser(() => undefined);
  expect(() => {
    for (let piece = 0; piece < 100; piece++) parse('x'.repeat(100_000));
  }).toThrow();
});

test('after a break it goes on behind the last event', async () => {
  const asked: (string | undefined)[] = [];
  vi.stubGlobal('fetch', (_: string, { headers }: { headers: Record<string, string> }) => {
    asked.push(headers['Last-Event-ID']);
    const text = asked.length === 1 ? 'id: 41\nevent: a\ndata: 1\n\n' : 'id: 42\nevent: a\ndata: 2\n\n';
    return Promise.resolve(new Response(text));
  });
  const heard: string[] = [];
  const states: string[] = [];
  const stream = follow({
    url: () => 'eventos',
    onMessage: ({ data }) => heard.push(data),
    onState: (state) => states.push(state),
  });
  await vi.waitFor(() => expect(heard).toEqual(['1', '2']), 3_000);
  stream.pause();
  expect(asked.slice(0, 2)).toEqual([undefined, '41']);
  expect(states.slice(0, 4)).toEqual(['connecting', 'live', 'waiting', 'connecting']);
});
