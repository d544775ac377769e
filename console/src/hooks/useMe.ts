import { useApi } from './useApi';

/** Who is signed in. */
export function useMe() {
  return useApi('/session', {});
}

/** Tells whether the reader has a permission, such as Device.Modify. */
export function useMay(): (permission: string) => boolean {
  const { data } = useMe();
  return (permission) => data?.permissions.includes(permission) ?? false;
}
