/**
 * - `beside`: an ordinary container after the app's, which then starts half a second sooner.
 * - `native`: an init container that is always restarted, in pods that end by themselves: the kubelet ends it when
 *   the app has ended. An ordinary container would keep a Job's pod from ever being complete.
 */
export type SidecarPlace = 'beside' | 'native';
