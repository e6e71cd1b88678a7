// Which companies this page can see: the one that serves it, or in the demo all of them.
import { Company } from '../api/client';
import { Link } from './live.svelte';

export async function discover(): Promise<Link[]> {
  const listed = await demo();
  if (listed) return listed.map(({ id, nome, base }) => new Link(id, nome, new Company(base)));
  const own = new Company('./');
  const { empresa } = await own.health();
  return [new Link(empresa, empresa, own)];
}

async function demo(): Promise<{ id: string; nome: string; base: string }[] | undefined> {
  try {
    const response = await fetch('demo/empresas');
    if (!response.ok) return undefined;
    return (await response.json()).empresas;
  } catch {
    return undefined;
  }
}
